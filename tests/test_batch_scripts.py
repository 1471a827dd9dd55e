"""The batch scripts for SLURM: as the page shows them, and what they do with an end and a signal.

Under a real SLURM they run by `make test-slurm`.
"""

import os
import signal
import subprocess

import pytest

from tests.support.house import ROOT
from tests.support.pages import blocks

SCRIPTS = sorted((ROOT / "scripts").glob("*.sbatch"))
ONE_NODE = ROOT / "scripts" / "slurm-one-node.sbatch"

SEARCH = """#!/bin/bash
trap 'exit 130' TERM
echo "$@; cards '${CUDA_VISIBLE_DEVICES-all}'"
[ "$2" = ends ] && exit "$3"
while :; do read -rt 0.05 <> <(:); done
"""
SCONTROL = '#!/bin/bash\necho "scontrol $*"\n'


def test_the_page_shows_the_scripts_as_they_are():
    shown = blocks(ROOT / "docs" / "cluster.md", "bash")
    assert len(SCRIPTS) == 2
    assert shown == [path.read_text() for path in SCRIPTS]


@pytest.fixture
def job(tmp_path):
    """Starts the script as SLURM would, with a search that waits for a signal or ends so."""
    for name, text in (("python", SEARCH), ("scontrol", SCONTROL)):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)

    def begin(*words, **more):
        variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": str(tmp_path / "python")}
        variables |= {"SLURM_JOB_ID": "17", "SLURM_SUBMIT_DIR": str(tmp_path)}
        return subprocess.Popen(
            ["bash", ONE_NODE, *words], stdout=subprocess.PIPE, text=True, env=variables | more
        )

    return begin


@pytest.mark.process(seconds=1)
@pytest.mark.parametrize(
    ("number", "said", "status"),
    [(signal.SIGUSR1, "scontrol requeue 17\n", 0), (signal.SIGTERM, "", 130)],
)
def test_only_the_end_of_the_time_requeues_a_job(job, number, said, status):
    process = job("--trials", "waits")
    assert process.stdout.readline() == "pipeline/search.py --trials waits; cards ''\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == said
    assert process.returncode == status


@pytest.mark.process(seconds=1)
@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_a_search_that_ends_by_itself_ends_its_job(job, status):
    process = job("ends", str(status), SLURM_GPUS_ON_NODE="2")
    assert process.communicate(timeout=60)[0] == f"pipeline/search.py ends {status}; cards 'all'\n"
    assert process.returncode == status
