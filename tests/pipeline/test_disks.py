"""Disks that are full, read-only or fill up: one line, status 2, and nothing lost."""

import resource
import subprocess
import sys

import pytest

from tests.support.processes import ROOT
from tests.support.studies import search_arguments


@pytest.mark.process
def test_a_disk_that_is_full_or_read_only(tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this process may not mount a file system")
    for options, expected in (("size=32k", "the disk is full"), ("ro", "the disk is read-only")):
        place = tmp_path / options.partition("=")[0]
        place.mkdir()
        search = f"{sys.executable} {ROOT}/pipeline/search.py --recipe digits --runs {place}"
        script = f"mount -t tmpfs -o {options} none {place} && {search}"
        result = subprocess.run(
            ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True
        )
        assert result.returncode == 2, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert f"{place}: must be a folder that can be written to, but {expected}" in result.stderr


@pytest.mark.process
def test_a_file_that_may_not_grow(tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    command = [sys.executable, f"{ROOT}/pipeline/search.py", "--recipe", "digits"]
    result = subprocess.run(
        [*command, "--runs", tmp_path], preexec_fn=limited, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "the file would be too large" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.process(seconds=22)
def test_a_disk_that_fills_up_in_the_middle_of_a_search(tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this process may not mount a file system")
    typed = search_arguments(tmp_path, "--concurrency", "1", trials=3)
    search = " ".join(map(str, [sys.executable, f"{ROOT}/pipeline/search.py", *typed]))
    script = (
        f"mount -t tmpfs -o size=200k none {tmp_path} && cd {tmp_path}; {search} >/dev/null; "
        f"echo $?; mount -o remount,size=64m {tmp_path}; {search}; echo $?"
    )
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("2", "0"), result.stderr
    views = ("MLflow lags", "no report of")  # either may still fit, or not
    complaints = [line for line in result.stderr.splitlines() if not line.startswith(views)]
    assert len(complaints) == 1, result.stderr
    assert "the disk is full; make room" in complaints[0]
    assert "3 of 3 trials ended" in result.stdout
