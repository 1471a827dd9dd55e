"""The batch scripts under a real SLURM, which `tests/slurm.sh` starts: what `make test-slurm` runs.

`python -m tests.support.slurm one several array` runs those of the three that are named, or all.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.postgresql import postgresql
from tests.support.processes import ROOT, run
from tests.support.studies import agree, outcome, search_arguments, states

ONE = "scripts/slurm-one-node.sbatch"
SEVERAL = "scripts/slurm-several-nodes.sbatch"
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
LONGEST = 1800  # s that a job may wait and run


def arguments(place, *more, epochs):
    lockstep = ("--deterministic", "3", "--control-every", "4")
    return search_arguments(place, *lockstep, *more, trials=9, epochs=epochs)


def submit(place, script, *options, typed):
    """Give a script to SLURM as it lies there; return the job's number."""
    log = place / "job-%j.log"
    words = ["sbatch", "--parsable", "--cpus-per-task=1", f"--output={log}", *options, script]
    words += map(str, typed)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split(";")[0])


def known(job):
    """What SLURM knows of a job: field -> value."""
    words = ["scontrol", "show", "job", "--oneliner", str(job)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"(\w+)=(\S*)", done.stdout.splitlines()[0]))


def ended(job):
    """Wait for the end of a job, and return what SLURM knows of it."""
    begun = time.monotonic()
    while known(job)["JobState"] not in ENDED:
        assert time.monotonic() - begun < LONGEST, known(job)
        time.sleep(1)
    return known(job)


def cut_once(job):
    """Wait until a job was cut and requeued, and let its next turn have the time that it needs."""
    begun = time.monotonic()
    while int(known(job)["Restarts"]) == 0:
        assert known(job)["JobState"] not in ENDED, known(job)
        assert time.monotonic() - begun < LONGEST, known(job)
        time.sleep(1)
    subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=60"], check=True)


def words_of(place, job):
    return (place / f"job-{job}.log").read_text()


def cut_after(seconds):
    """The options by which SLURM sends its signal after about so many seconds."""
    minutes = math.ceil(seconds / 60 + 0.5)
    return f"--time={minutes}", f"--signal=B:USR1@{round(60 * minutes - seconds)}"


def undisturbed(place):
    """Search once without SLURM; return the study, and the seconds that it took."""
    begun = time.monotonic()
    result = run("search", *arguments(place, "--concurrency", "1", epochs=20), cold=True)
    assert result.code == 0, result.err
    return outcome(place), time.monotonic() - begun


def one_node(folder, expected, seconds):
    """A job is cut by its time limit, requeued, and ends as the undisturbed study."""
    place = folder / "one"
    place.mkdir()
    job = submit(place, ONE, *cut_after(seconds * 0.6), typed=arguments(place, epochs=20))
    cut_once(job)
    end, said = ended(job), words_of(place, job)
    assert (end["JobState"], end["ExitCode"]) == ("COMPLETED", "0:0"), said
    assert int(end["Restarts"]) >= 1 and "stopping; nothing is lost" in said, said
    assert "of the time of 1 parallel trials" in said  # one core of the two of this machine
    assert outcome(place) == expected
    agree(place, said)
    restarts = end["Restarts"]
    told = submit(place, ONE, typed=("--recipe", "no-such-recipe"))
    end = ended(told)
    assert (end["JobState"], end["ExitCode"], end["Restarts"]) == ("FAILED", "2:0", "0"), end
    return f"cut and requeued {restarts} times: as undisturbed"


def several_nodes(folder, expected, seconds):
    """Two nodes with a core and a pretended card each: cut, requeued, and as undisturbed."""
    place = folder / "several"
    place.mkdir()
    options = ("--gres=gpu:1", *cut_after(seconds * 0.6))
    job = submit(place, SEVERAL, *options, typed=arguments(place, epochs=20))
    cut_once(job)
    end, said = ended(job), words_of(place, job)
    assert (end["JobState"], end["ExitCode"]) == ("COMPLETED", "0:0"), said
    assert "2 parallel trials" in said, said
    assert outcome(place) == expected
    agree(place, said)
    assert not list(Path("/tmp").glob(f"ray-{job}"))
    return f"on two nodes, cut and requeued {end['Restarts']} times: as undisturbed"


def tasks_of(job):
    """Wait until both jobs of an array have a number of their own, as from their start."""
    begun, found = time.monotonic(), set[int]()
    while len(found) < 2:
        assert time.monotonic() - begun < LONGEST, found
        time.sleep(1)
        found = {int(known(f"{job}_{task}")["JobId"]) for task in (1, 2)}
    return sorted(found)


def array(folder, seconds):
    """Two jobs of an array share a study, one is cut; no trial is lost and none is run twice."""
    place = folder / "array"
    place.mkdir()
    with postgresql() as uri:
        shared = ("--storage", uri, "--heartbeat", "5s", "--pruner", "none")
        typed = search_arguments(place, *shared, trials=12, epochs=20)
        job = submit(place, ONE, "--array=1-2", *cut_after(seconds * 0.6), typed=typed)
        tasks = tasks_of(job)
        cut_once(tasks[0])
        ends = [ended(task) for task in tasks]
        said = [words_of(place, task) for task in tasks]
        assert [end["ExitCode"] for end in ends] == ["0:0"] * 2, said
        trials = states(place, storage=uri)
    assert [trial.state for trial in trials.values()] == ["COMPLETE"] * 12
    told = [set(re.findall(r"^trial +(\d+) COMPLETE", words, re.M)) for words in said]
    assert all(told) and not told[0] & told[1], said
    times = " and ".join(end["Restarts"] for end in ends)
    return f"two jobs of an array, requeued {times} times: {len(told[0])} + {len(told[1])} trials"


def main(chosen):
    os.environ["PYTHON"] = sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected, seconds = undisturbed(folder / "undisturbed")
        print(f"undisturbed: {len(expected)} trials in {seconds:.0f} s", flush=True)
        if "one" in chosen:
            print(one_node(folder, expected, seconds), flush=True)
        if "several" in chosen:
            print(several_nodes(folder, expected, seconds), flush=True)
        if "array" in chosen:
            print(array(folder, seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ("one", "several", "array")))
