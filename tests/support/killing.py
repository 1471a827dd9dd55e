"""A search that is killed at a random moment and continued: what `make test-kill` repeats.

A moment is a share of what the undisturbed search writes to its journal, and not of its time: so
it lies within the search however quick the machine is.

`python -m tests.support.killing 50` says how many of 50 runs ended as an undisturbed one does; a
second number is the seed of the first one.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.processes import run, start
from tests.support.studies import agree, outcome, search_arguments

TARGETS = ("driver", "worker", "raylet", "gcs_server")
HOOK = Path(__file__).parent / "counting"  # a sitecustomize that counts checkpoints
EPOCHS = 6
MOMENTS = [(0, 0), *8 * [(0, 0.97)], (0.97, 1)]  # the start, what is between, and the end
RULES = ("0s", "0.5s", "60s")  # checkpoints after each epoch, by time, and as a rule none at all
FREEZE = 16  # trainings of the searches that are killed at random
AGAIN = 6  # starts of the command, after which a search is called stuck


def arguments(place, every=RULES[0], trainings=None):
    """Return the search's command line.

    trainings: effort; 16 are few enough for half of a minute, and enough for the model of `freeze`
        to decide from the tenth trial on. None has nine trials, and halving alone.
    """
    order = ("--deterministic", "3", "--concurrency", "2", "--control-every", "4")
    effort = ("--trainings", trainings) if trainings else ()
    more = (*order, "--checkpoint-every", every, *effort)
    count = 60 if trainings else 9
    return search_arguments(place, *more, trials=count, epochs=EPOCHS, eval_every=2)


def counting(place):
    """The environment in which checkpoints are counted, in a file of this folder."""
    return {"REGMIX_TEST_LOG": str(place / "checkpoints.log"), "PYTHONPATH": str(HOOK)}


def saved(place):
    """How often each trial's checkpoint was written: trial -> count."""
    counts: dict[int, int] = {}
    log = place / "checkpoints.log"
    for line in log.read_text().split() if log.exists() else ():
        counts[int(line)] = counts.get(int(line), 0) + 1
    return counts


def processes(driver, target):
    """Return the running processes of a kind that a driver started."""
    if target == "driver":
        return [psutil.Process(driver.pid)]
    worker = ("ray::TrialActor", "ray::ResourceTrainable")  # between two epochs, and within one
    names = worker if target == "worker" else (target,)
    try:
        found = psutil.Process(driver.pid).children(recursive=True)
        return [process for process in found if process.name().startswith(names)]
    except psutil.Error:
        return []


def kill(driver, target):
    """Send SIGKILL as soon as there is such a process; return whether it hit a living one."""
    while driver.poll() is None:
        victims = processes(driver, target)
        if victims:
            random.choice(victims).kill()
            return True
        time.sleep(0.01)
    return False


def resume(place, code, printed, every=RULES[0], trainings=None):
    """Type the same command until it is done; return what it printed last.

    Args:
        place: folder of the search.
        code, printed: how it ended the last time.
        every: one of RULES.
        trainings: see `arguments`.
    """
    for _ in range(AGAIN):
        if code == 0:
            return printed
        result = run("search", *arguments(place, every, trainings), environment=counting(place))
        code, printed = result.code, result.out + result.err
    raise AssertionError(f"after {AGAIN} starts: {printed}")


def journal_size(place):
    """Return how much a search has written to its journal, bytes."""
    found = place / "studies" / "wamr-digits" / "journal.log"
    return found.stat().st_size if found.exists() else 0


def wait_until(process, place, size):
    """Wait while a search lives and its journal is smaller."""
    while process.poll() is None and journal_size(place) < size:
        time.sleep(0.005)


def killed(place, target, size, delay, every):
    """Search, kill once, and continue to the end; return whether the kill hit, and the last words.

    Args:
        place: folder of the search.
        target: one of TARGETS.
        size: size of the journal, bytes, from which on it is killed; 0 for its beginning.
        delay: so many seconds after that.
        every: one of RULES.
    """
    process = start("search", *arguments(place, every, FREEZE), environment=counting(place))
    wait_until(process, place, size)
    time.sleep(delay)
    hit = kill(process, target)
    out, err = process.communicate(timeout=300)
    if target == "worker":  # a search outlives its workers
        assert process.returncode == 0, out + err
    return hit, resume(place, process.returncode, out + err, every, FREEZE)


def told(place):
    """Return how often the study was told each epoch: (trial, epoch) -> count."""
    counts: dict[tuple[int, int], int] = {}
    journal = place / "studies" / "wamr-digits" / "journal.log"
    for line in map(json.loads, journal.read_text().splitlines()):
        for name in line.get("user_attr", ()):
            if name.startswith("epoch_"):
                epoch = line["trial_id"], int(name.removeprefix("epoch_"))
                counts[epoch] = counts.get(epoch, 0) + 1
    return counts


def check(place, printed, expected, *, repeated=1):
    """Hold a continued search against the undisturbed one.

    repeated: epochs of a trial that may have been trained twice.
    """
    assert outcome(place) == expected
    agree(place, printed)  # nothing RUNNING, nothing twice, in study, MLflow and table
    assert set(told(place).values()) == {1}, "an epoch was told twice"
    assert "trained again after a kill" not in printed, "an epoch came to other numbers"
    for number, count in saved(place).items():
        row = expected[number]
        # a worker may run ahead to the end
        ahead = EPOCHS if row.state == "PRUNED" else len(row.measured)
        assert count <= ahead + repeated, f"trial {number} wrote {count} checkpoints"
    left = list(place.glob("studies/*/trials/*/checkpoint.pt")) + list(
        place.glob("studies/*/trials/*/.*")
    )
    assert left == []


def halve(place):
    """Cut what a kill of the machine may leave cut: every checkpoint, and the journal's end."""
    for path in place.glob("studies/*/trials/*/checkpoint.pt"):
        os.truncate(path, path.stat().st_size // 2)
    journal = place / "studies" / "wamr-digits" / "journal.log"
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 6, "worker_id"')


def main(count=50, first=0):
    with tempfile.TemporaryDirectory() as folder:
        result = run("search", *arguments(Path(folder) / "undisturbed", trainings=FREEZE))
        assert result.code == 0, result.err
        expected = outcome(Path(folder) / "undisturbed")
        whole = journal_size(Path(folder) / "undisturbed")
        stops = sum("new configurations" in row.told[0] for row in expected.values())
        assert stops, "the model of the curves decided over nobody"
        said = f"{len(expected)} trials, {stops} stopped by the model, {whole} bytes of journal"
        print(f"undisturbed: {said}", flush=True)
        good = hits = 0
        for seed in range(first, first + count):
            random.seed(seed)
            target = "driver" if random.random() < 0.5 else random.choice(TARGETS[1:])
            share, delay = random.uniform(*random.choice(MOMENTS)), random.uniform(0, 0.5)
            every = random.choice(RULES)
            place = Path(folder) / str(seed)
            place.mkdir()
            try:
                hit, printed = killed(place, target, share * whole, delay, every)
                check(place, printed, expected)
                word, good = "as undisturbed", good + 1
            except AssertionError as error:
                hit, word = True, f"FAILED: {str(error)[:2000]}"
            hits += hit
            moment = f"{target:10s} at {share:4.0%} and {delay:.2f} s, {every:>4s}"
            print(f"{seed:3d} {moment}, {hit=}: {word}", flush=True)
    print(f"{good} of {count} ended as the undisturbed search; {hits} kills hit")
    return 0 if good == count else 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(*map(int, sys.argv[1:])))
