"""What the driver and its workers exchange, across the border of a process."""

import json
import pickle
import subprocess
import sys

import pytest

from pipeline.execution.messages import DiskFailure, OtherCode, TrialFailure, WorkerRequest
from pipeline.study.events import EpochResult
from tests.support.controllers import MACHINE, VERSIONS, epoch_result, metrics, problem_of

CONFIG = problem_of().config({})
MESSAGES = [
    WorkerRequest(3, CONFIG.flat(), 2, "s3://bucket/folder", 2, 60.0),
    EpochResult(metrics(4, 0.5), MACHINE, VERSIONS),
    OtherCode("here", "clone", "0f"),
    epoch_result(1, 0.25, co_detected=True),
    TrialFailure("bug", "ValueError: no", "Traceback (most recent call last):\n"),
    DiskFailure(28, "weights.safetensors"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_on_the_other_side(message):
    assert pickle.loads(pickle.dumps(message)) == message


def test_a_request_knows_its_length():
    assert MESSAGES[0].epochs == CONFIG.epochs


@pytest.mark.process
def test_messages_load_neither_optuna_nor_torch(tmp_path):
    """Else each worker would load Optuna, and the driver torch."""
    (tmp_path / "messages").write_bytes(pickle.dumps(MESSAGES))
    script = (
        "import json, pickle, sys\n"
        f"found = pickle.load(open({str(tmp_path / 'messages')!r}, 'rb'))\n"
        "print(json.dumps([len(found), sorted({'optuna', 'torch', 'ray'} & set(sys.modules))]))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [len(MESSAGES), []]
