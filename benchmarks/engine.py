"""Measure how fast the engine trains and judges: one command, one file of results.

    make bench-engine                                  # a CUDA card where there is one, or a CPU
    make bench-engine ARGS="--data-dir FOLDER"         # with train/ and test/ class folders
    make bench-engine ARGS="--parts step,judge"
    make bench-engine ARGS="--parts against --against FOLDER"   # another checkout of the project

Each part has its share of `--minutes`, and says what did not fit. Rows go to
`benchmarks/results/engine-DEVICE.jsonl`, and as tables of Markdown to the standard output.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.measures import (
    checkouts,
    end_to_end,
    footprint,
    judging,
    packing,
    rows,
    steps,
    time_to_robust,
    whole_trials,
)
from benchmarks.measures.setting import Budget, Part, Row, Setting
from pipeline.base.cli import Parser, number, run
from regmix.device import device
from regmix.errors import InputError, first_line, shown, unknown
from regmix.ranges import Positive, PositiveUnitInterval

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Part] = {
    "step": steps.measure,
    "memory": footprint.measure_memory,
    "checkpoint": footprint.measure_checkpoints,
    "judge": judging.measure,
    "trial": whole_trials.measure,
    "packing": packing.measure,
    "reach": time_to_robust.measure,
    "end-to-end": end_to_end.measure,
    "against": checkouts.measure,
}
SHARES = {  # of the time, on a CPU and on a card; 1 each for what is not named
    "step": (6, 3),
    "judge": (5, 1),
    "trial": (4, 1),
    "packing": (1, 3),
    "reach": (1, 4),
    "end-to-end": (1, 9),
    "against": (8, 1),
}
_MINUTES = {"cpu": 5.0, "cuda": 9.5}


def measure(
    setting: Setting, parts: Sequence[str], minutes: float
) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yield the name of each part with its rows, which must be taken before the next part.

    Args:
        setting: what is measured.
        parts: names, in the order in which they are measured.
        minutes: time for all of them; what one leaves goes to those after it.
    """
    shares = [SHARES.get(name, (1, 1))[setting.card] for name in parts]
    whole = Budget(60 * minutes)
    for place, name in enumerate(parts):
        part = Budget(max(whole.left, 0.0) * shares[place] / sum(shares[place:]))
        yield name, PARTS[name](setting, part)


def main(argv: Sequence[str]) -> int:
    """Measure, write each row when it is known, and print a table for each part."""
    parser = Parser("engine.py", __doc__)
    parser.add_argument("--device", help="cpu or cuda (default: a card where there is one)")
    parser.add_argument("--parts", help=f"of {', '.join(PARTS)}, with commas (default: all)")
    parser.add_argument("--minutes", help="time for all parts (default: 5 on a CPU, else 9.5)")
    parser.add_argument("--data-dir", help="folder with train/ and test/ class folders")
    parser.add_argument("--threshold", default="0.45", help="robust accuracy for the part reach")
    parser.add_argument("--against", type=Path, help="folder of another checkout of the project")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args(argv)
    where = _device(args.device)
    threshold = number("--threshold", args.threshold, PositiveUnitInterval)
    setting = Setting(where, args.data_dir, args.against, threshold)
    minutes = number("--minutes", args.minutes or _MINUTES[where.type], Positive)
    parts = _parts(args.parts, args.against is not None)
    torch.set_num_threads(1)  # each way has one core of a CPU, so that CPU seconds compare
    out = _folder(args.out)
    here = rows.machine(where)
    print(rows.tables([here]), flush=True)
    with (out / rows.file_name(where)).open("w") as file:
        file.write(rows.line({"part": "machine", **here}))
        for name, found in measure(setting, parts, minutes):
            part = []
            for row in found:
                part.append(row)
                file.write(rows.line({"part": name, **row}))
                file.flush()
            print(f"## {name}\n\n{rows.tables(part)}", flush=True)
    return 0


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"command line: --out must be a folder, but is {shown(str(path))} "
            f"({first_line(error)}); name another"
        ) from None
    return path


def _device(name: str | None) -> torch.device:
    if name is None:
        return device()
    if name not in _MINUTES:
        raise unknown("command line", "--device", name, _MINUTES)
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("command line: --device is cuda, but torch sees no card; choose cpu")
    return torch.device(name)


def _parts(text: str | None, against: bool) -> list[str]:
    usual = [name for name in PARTS if against or name != "against"]
    chosen = usual if text is None else text.split(",")
    for name in chosen:
        if name not in PARTS:
            raise unknown("command line", "part", name, PARTS)
    return chosen


if __name__ == "__main__":
    sys.exit(run("engine", main))
