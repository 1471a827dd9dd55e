"""How many cores this process may use, and how it computes on them."""

import os
from collections.abc import Mapping
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(
    groups: Path = _GROUPS, own: Path = _OWN_GROUPS, variables: Mapping[str, str] = os.environ
) -> int:
    """Return how many whole cores this process may keep busy, at least 1.

    A machine's own number of cores is more than a process has under `taskset`, in a container or
    in a batch job: the affinity and the quota of every control group above it count. SLURM need not
    bind a job to its cores, but tells it their number.

    Args:
        groups: where the control groups are mounted.
        own: file that says in which of them this process is.
        variables: the environment.
    """
    cores = float(len(os.sched_getaffinity(0)))
    for quota in _quotas(groups, own):
        cores = min(cores, quota)
    allocated = variables.get("SLURM_CPUS_ON_NODE", "")
    if "SLURM_JOB_ID" in variables and allocated.isascii() and allocated.isdigit():
        cores = min(cores, int(allocated))
    return max(1, int(cores))


def _quotas(groups: Path, own: Path) -> list[float]:
    """Return the cores that each control group above this process leaves it; [] where none does.

    Both versions: `cpu.max` holds quota and period in microseconds, or 'max'; the older one has a
    file for each, and -1 for no quota.
    """
    found = []
    for line in _text(own).splitlines():
        _, controllers, place = (line.split(":", 2) + ["", ""])[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / "cpu" if controllers else groups
        for above in (Path(place.lstrip("/")), *Path(place.lstrip("/")).parents):
            folder = root / above
            whole = _text(folder / "cpu.max").split() or [
                _text(folder / "cpu.cfs_quota_us").strip(),
                _text(folder / "cpu.cfs_period_us").strip(),
            ]
            if len(whole) == 2 and all(word.isdigit() and int(word) for word in whole):
                found.append(int(whole[0]) / int(whole[1]))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not mounted, or of the other version
        return ""


def compute_on(threads: int | None = None) -> None:
    """Let torch compute on so many threads, and load it where it is not loaded yet.

    Threads that wait for each other sleep: spinning beside a search that keeps the same cores
    busy, they made an evaluation seven times slower.

    Args:
        threads: number of threads; None takes OMP_NUM_THREADS where it is set, else one for each
            core that this process may use.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded
    import torch

    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))
