"""A network as a graph of operations, for programs that run no Python: ONNX and torch.export."""

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from regmix.errors import InputError, first_line

NEAR = 1e-5
"""Difference of two logits, as a share of the largest or of 1, that is only rounding."""

_ONNX = ("onnx", "onnxscript")
_OPSET = 18

Answers = Callable[[Tensor], Tensor]


def check_onnx() -> None:
    """Prove that what writes ONNX is installed.

    Raises:
        InputError: naming what is missing.
    """
    lack = [name for name in _ONNX if importlib.util.find_spec(name) is None]
    if lack:
        raise InputError(
            f"--format onnx: the package {lack[0]} is missing; pip install regmix-search[onnx]"
        )


@dataclass(frozen=True)
class Graph:
    """A network as the content of a file."""

    content: bytes
    apart: float | None  # largest difference of a logit; None where nothing here can run it


def pt2(model: nn.Module, shape: tuple[int, int, int]) -> Graph:
    """Return a network as torch.export's archive, for any number of images.

    Args:
        model: network in eval mode on the CPU.
        shape: (C, H, W) of an image.

    Raises:
        InputError: where torch can't turn it into a graph, or the graph answers otherwise.
    """
    content = io.BytesIO()
    with _told("pt2"):
        program = torch.export.export(model, (_images(2, shape),), dynamic_shapes=_ANY_NUMBER)
        torch.export.save(program, content)
        content.seek(0)
        loaded = torch.export.load(content).module()
    return Graph(content.getvalue(), _difference("pt2", loaded, model, shape))


def onnx(model: nn.Module, shape: tuple[int, int, int]) -> Graph:
    """Return a network as ONNX, from `images` to `logits`, for any number of images.

    Takes and raises what `pt2` does. It is compared where onnxruntime is installed, which runs it.
    """
    check_onnx()
    with _told("onnx"):
        program = torch.onnx.export(
            model,
            (_images(2, shape),),
            dynamic_shapes=_ANY_NUMBER,
            input_names=["images"],
            output_names=["logits"],
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        content = program.model_proto.SerializeToString()
    if importlib.util.find_spec("onnxruntime") is None:
        return Graph(content, None)
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def answers(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return Graph(content, _difference("onnx", answers, model, shape))


_ANY_NUMBER = ({0: Dim("count", min=1)},)


def _images(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _difference(name: str, graph: Answers, model: nn.Module, shape: tuple[int, int, int]) -> float:
    """Return how far the logits of a graph lie from the network's, for one image and for five."""
    found = 0.0
    for count in (1, 5):
        images = _images(count, shape)
        wanted = model(images)
        apart = (graph(images) - wanted).abs().max() / wanted.abs().max().clamp_min(1)
        found = max(found, float(apart))
    if not found <= NEAR:
        raise InputError(
            f"--format {name}: the graph's logits differ by {found:.3g} from the network's, so it "
            "is not the same; take hub"
        )
    return found


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Say in one line what torch has against a network, and nothing of what it notes on the way."""
    noisy, units = logging.getLogger("torch.onnx"), _cudnn_units()
    level, formats = noisy.level, [unit.fp32_precision for unit in units]
    noisy.setLevel(logging.ERROR)
    for unit in units:
        unit.fp32_precision = "tf32"  # of a card, which is not asked: others torch.export refuses
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except OSError:
        raise
    except Exception as error:
        raise InputError(
            f"--format {name}: torch can't write this network as a graph "
            f"({type(error).__name__}: {first_line(error)[:100]}); take hub"
        ) from error
    finally:
        noisy.setLevel(level)
        for unit, format_ in zip(units, formats, strict=True):
            unit.fp32_precision = format_


def _cudnn_units() -> tuple[Any, Any]:
    backends: Any = torch.backends
    return backends.cudnn.conv, backends.cudnn.rnn
