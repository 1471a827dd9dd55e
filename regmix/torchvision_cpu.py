"""The one place that imports torchvision, also beside a CPU build of torch.

The registry's torchvision is built for CUDA. Beside a CPU build of torch its compiled part
does not load, and the import stops at the first operator that Python declares a fake for. We
use none of these operators, so declaring them empty is enough.
"""

import re
import sys
from types import ModuleType

import torch

_declared: list[torch.library.Library] = []  # dropping one would undo its operators


def _load() -> ModuleType:
    for _ in range(8):
        try:
            import torchvision

            return torchvision  # type: ignore[no-any-return]
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or torch.version.cuda is not None:
                raise  # a real fault of the installation
            _declare(missing[1])
    raise ImportError("torchvision keeps missing operators beside this build of torch")


def _declare(operator: str) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


torchvision = _load()
