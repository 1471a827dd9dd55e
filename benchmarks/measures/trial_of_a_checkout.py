"""Trains trials with the code of whatever checkout it is given; `checkouts.py` starts it.

    python -P benchmarks/measures/trial_of_a_checkout.py ROOT

Reads `[space, parameters, changes]` as JSON, a line each, and prints a line with what `judge`
returns. It uses only what older checkouts have too.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def judge(space: str, params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Train one configuration of the recipe `digits`, as a worker of a search does.

    Args:
        space, params: point of a space.
        changes: values that replace the recipe's.

    Returns:
        CPU `seconds`, `robust` accuracy at the end, and as `hits` of `count`.
    """
    import torch

    from pipeline.problem.problem import SearchProblem
    from regmix.reading import read_part
    from regmix.training.trainer import RegMixTrainer

    config = SearchProblem.load(space, "digits", changes).config(params)
    data = config.split(read_part(config.data.name, config.data.options, "train"))
    begun = time.process_time()
    final = list(RegMixTrainer(config, data, torch.device("cpu")).epochs())[-1].final
    spent = time.process_time() - begun
    assert final is not None, "the last epoch is evaluated"
    return {
        "seconds": spent,
        "robust": final.robust,
        "hits": final.hits,
        "count": final.count,
    }


def main(root: Path) -> None:
    """Answer each line of the standard input."""
    sys.path.insert(0, str(root))
    import torch

    import regmix

    assert Path(regmix.__file__).is_relative_to(root), "the code must be the checkout's own"
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(judge(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
