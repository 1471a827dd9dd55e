"""How many cores a process has: by its affinity, and by the quota of every group above it."""

import os

import pytest

from regmix.cores import usable_cores

HALF_MACHINE = {
    "the newer version": ("0::/a/b", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}),
    "a group above": ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}),
    "the root of a container": ("0::/", {"cpu.max": "199999 100000"}),
    "the older version": (
        "4:memory:/x\n1:cpu,cpuacct:/a",
        {"cpu/a/cpu.cfs_quota_us": "100000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
    ),
    "less than one": ("0::/", {"cpu.max": "20000 100000"}),
}
WHOLE_MACHINE = {
    "no groups": ("", {}),
    "no quota": ("0::/a", {"a/cpu.max": "max 100000"}),
    "no quota in the older version": (
        "1:cpu:/",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
    ),
    "a damaged file": ("0::/\nnonsense", {"cpu.max": "12"}),
    "more than there is": ("0::/", {"cpu.max": "99900000 100000"}),
}


def cores(tmp_path, own, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own").write_text(own)
    return usable_cores(tmp_path, tmp_path / "own")


@pytest.mark.parametrize("case", HALF_MACHINE)
def test_a_quota_leaves_whole_cores_and_at_least_one(tmp_path, case):
    assert cores(tmp_path, *HALF_MACHINE[case]) == 1


@pytest.mark.parametrize("case", WHOLE_MACHINE)
def test_without_a_quota_the_affinity_counts(tmp_path, case):
    assert cores(tmp_path, *WHOLE_MACHINE[case]) == len(os.sched_getaffinity(0))


def test_the_affinity_of_the_process_counts_not_the_machine(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores(tmp_path, tmp_path / "own") == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("variables", "fewer"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1"}, True),
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "999"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "many"}, False),
        ({"SLURM_JOB_ID": "7"}, False),
        ({"SLURM_CPUS_ON_NODE": "1"}, False),  # no job
    ],
)
def test_a_batch_job_has_the_cores_of_its_allocation(tmp_path, monkeypatch, variables, fewer):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))  # SLURM bound nothing
    assert usable_cores(tmp_path, tmp_path / "own", variables) == (1 if fewer else 8)
