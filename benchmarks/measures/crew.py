"""Processes that each train a trial of their own at the same time, as a search's workers do.

`python -m benchmarks.measures.crew DEVICE` is one of them: for each line `CASE SECONDS` that it
reads it trains so long, and prints how many images a second it did.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.measures.cases import Case, cases, ours, random_images
from regmix.engine import Engine

_ROOT = Path(__file__).resolve().parents[2]
_IMAGES = 2048
_WARM_UP = 3  # steps


class Crew:
    """Processes that are up, and wait."""

    def __init__(self, processes: "list[subprocess.Popen[str]]") -> None:
        """Keep the processes; each has said that it is ready."""
        self._processes = processes

    def images_per_second(self, case: Case, count: int, seconds: float) -> float:
        """Let `count` of them train at once; return what they do together.

        Args:
            case: what each trains.
            count: number of processes.
            seconds: time for which each trains, after some steps that are not counted.
        """
        working = self._processes[:count]
        for warm_up in (True, False):  # all of them are warm before the first is timed
            for process in working:
                _say(process, f"{case.name}\t{0 if warm_up else seconds}")
            found = [float(_heard(process)) for process in working]
        return sum(found)


@contextmanager
def crew(count: int, device: torch.device) -> Iterator[Crew]:
    """Start processes, and end them afterwards.

    Args:
        count: number of processes.
        device: device of all of them.
    """
    command = [sys.executable, "-m", "benchmarks.measures.crew", device.type]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT)
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            _heard(process)
        yield Crew(processes)


def _say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a process of the crew ended; its error stands above")
    return line


@cache
def _step(name: str, device: str) -> tuple[Any, int]:
    """Return the step of a case in this process, and its batch."""
    case = next(one for one in cases(device == "cuda") if one.name == name)
    data = random_images(case.shape, _IMAGES)
    return ours(case.config("wamr"), data, torch.device(device), Engine()), case.batch


def train_for(name: str, device: str, seconds: float) -> float:
    """Train a case, and return the images a second.

    Args:
        name: name of the case.
        device: `cpu` or `cuda`.
        seconds: wall seconds; 0 for a few steps alone.
    """
    step, batch = _step(name, device)
    done, begun = 0, time.perf_counter()
    while done < _WARM_UP or time.perf_counter() - begun < seconds:
        step()
        done += 1
        if device == "cuda" and done % 10 == 0:
            torch.cuda.synchronize()
    if device == "cuda":
        torch.cuda.synchronize()
    return done * batch / (time.perf_counter() - begun)


def main(device: str) -> int:
    """Answer each line of the standard input."""
    torch.set_num_threads(1)
    torch.zeros(1, device=device)
    print("ready", flush=True)
    for line in sys.stdin:
        name, seconds = line.rstrip("\n").split("\t")
        print(train_for(name, device, float(seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
