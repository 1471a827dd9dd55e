"""Parts `memory` and `checkpoint`: the most memory that a training takes, the bytes that it writes.

`python -m benchmarks.measures.footprint ours|plain CASE LOSS IMAGES` trains for two steps in a
process of its own, since a process's peak is never taken back, and prints a row as JSON.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.measures.cases import (
    DIGITS,
    SMALL,
    Case,
    cases,
    ours,
    plain,
    random_images,
    residual,
)
from benchmarks.measures.clock import seconds
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.engine import Engine
from regmix.images import Split
from regmix.training.checkpoint import pack
from regmix.training.trainer import RegMixTrainer

_ROOT = Path(__file__).resolve().parents[2]
_STEPS = 2
_NETWORKS = 3  # the fourth is as large as the third
_MB = 1e6
_EPOCHS, _WHOLE = 3, 30  # of a training, until its checkpoint and to its end
_SAMPLE = 2000  # images, where a core trains


def images_of(case: Case) -> int:
    """Return how many images a real training of the case has."""
    return 997 if case is DIGITS else 48_000


def measure_memory(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each network and each of the two implementations."""
    for case in cases(setting.card)[:_NETWORKS]:
        for who in ("plain", "engine"):
            if budget.left <= 0:
                yield skipped(f"{case.name}, {who}", "its time was up")
                continue
            words = [who, case.name, "regmix", str(images_of(case)), setting.device.type]
            yield _in_own_process(words)


def _in_own_process(words: Sequence[str]) -> Row:
    command = [sys.executable, "-m", "benchmarks.measures.footprint", *words]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    row: Row = json.loads(done.stdout)
    return row


def footprint(who: str, case: Case, loss: str, images: int, device: torch.device) -> Row:
    """Train for two steps, and return the peak of this process's memory, or of the card's.

    Args:
        who: `plain` or `engine`.
        case, loss: what is trained.
        images: number of training images that are held.
        device: device of the training.
    """
    before = _peak(device)
    config, data = case.config(loss), random_images(case.shape, images)
    step = plain(config, data, device) if who == "plain" else ours(config, data, device, Engine())
    for _ in range(_STEPS):
        step()
    row = {"case": case.name, "batch": case.batch, "loss": loss, "images": images, "way": who}
    return {**row, "peak MB": _peak(device) / _MB, "before it MB": before / _MB}


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # not `ru_maxrss`, in which a process has the memory of the one that started it
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found is not None, "Linux tells it"
    return int(found[1]) * 1024


def measure_checkpoints(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each network: bytes of its checkpoint after some epochs."""
    asked = [(DIGITS, images_of(DIGITS)), (SMALL, images_of(SMALL) if setting.card else _SAMPLE)]
    if setting.card:
        case = residual("resnet18", 128)
        asked.append((case, images_of(case)))
    for case, images in asked:
        if budget.left <= 0:
            yield skipped(case.name, "its time was up")
            continue
        yield checkpoint(case, images, setting.device)


def checkpoint(case: Case, images: int, device: torch.device, epochs: int = _EPOCHS) -> Row:
    """Train for some epochs, and return the bytes of the checkpoint that follows.

    Args:
        case: what is trained.
        images: number of training images; each adds the same to the checkpoint.
        device: device of the training.
        epochs: length of the training, after which the memory is full.
    """
    data = random_images(case.shape, images)
    config = case.config("regmix", epochs=_WHOLE, eval_every=_WHOLE)
    trainer = RegMixTrainer(config, Split(data, data.take(np.arange(8))), device)
    for _ in trainer.epochs(until=epochs):
        pass
    state = trainer.state_dict()
    content = pack(state)
    spent = seconds(device, lambda: pack(trainer.state_dict()))
    memory = pack({"memory": state["memory"]})
    return {
        "case": case.name,
        "images": images,
        "epochs": epochs,
        "MB": len(content) / _MB,
        "of it memory, B an image": len(memory) / images,
        "fp16 memory, B an image": 4 * math.prod(case.shape),
        "packed in s": spent,
    }


def main(words: Sequence[str]) -> int:
    """Print the row of one training."""
    who, name, loss, images, device = words
    torch.set_num_threads(1)
    case = next(one for one in cases(device == "cuda") if one.name == name)
    print(json.dumps(footprint(who, case, loss, int(images), torch.device(device))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
