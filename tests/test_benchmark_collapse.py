"""The replay of the collapse rule on logs, run as a user runs it."""

import json

import pytest

from tests.support.processes import call, run

HEALTHY = {"seed": 0, "model_fgsm_acc_list": [0.5] * 20, "model_pgd_acc_list": [0.4] * 20}


def curve(**changes):
    """PGD-10 of 20 epochs: 0.4 until another value is said, which then holds on."""
    values, present = [], 0.4
    for epoch in range(1, 21):
        present = changes.get(f"e{epoch}", present)
        values.append(present)
    return values


def log(seed, **changes):
    return {**HEALTHY, "seed": seed, "model_pgd_acc_list": curve(**changes)}


@pytest.fixture
def folder(tmp_path):
    """Logs of two files; the warm-up of 20 epochs is the first two."""
    first = {
        "sound": [HEALTHY, log(1, e9=0.2)],  # a fall, at a ratio that the rule lets pass
        "single": [
            log(0, e12=0.01),
            log(1, e2=0.01, e3=0.4),  # within the warm-up: not a collapse
            log(2, e5=0.2, e7=0.01),  # a fall that is flagged two epochs later
        ],
    }
    slowly = {"e8": 0.32, "e9": 0.24, "e10": 0.16, "e11": 0.08, "e12": 0.01}
    second = {"slow": [{**log(7, **slowly), "autoattack_acc": 15.709}]}
    for name, logs in {"cifar": first, "tiny": second}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(logs))
    (tmp_path / "notes.txt").write_text("not a log")
    return tmp_path


def rows(output):
    words = [line.split() for line in output.splitlines()]
    return {line[0]: line[1:] for line in words if line and line[0] in ("cifar", "tiny", "all")}


@pytest.mark.process
def test_runs_are_counted_by_file_and_in_total(folder):
    finished = run("collapse", folder, room="benchmarks", cold=True)
    assert finished.code == 0, finished.err
    # runs, real collapses, flagged of them, in that very epoch, others flagged, lowest unflagged
    assert rows(finished.out) == {
        "cifar": ["5", "3", "2", "1", "0", "0.40"],
        "tiny": ["1", "0", "0", "0", "1", "-"],
        "all": ["6", "3", "2", "1", "1", "0.40"],
    }


def test_who_is_flagged_without_a_fall_is_named(folder):
    printed = call("collapse", folder, room="benchmarks").out
    lines = [line for line in printed.splitlines() if "without a fall" in line]
    assert lines == [
        "flagged without a fall: tiny: slow, seed 7, epoch 11, AutoAttack at the end 15.71 %"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "must be a folder that holds logs"),
        ("{", "must be logs as JSON"),
        ("[1]", "must map each method to a list of runs"),
        ('{"method": [1]}', "must map each method to a list of runs"),
        ('{"method": [{"seed": 3}]}', "method, seed 3: model_fgsm_acc_list and"),
        (json.dumps({"m": [{**HEALTHY, "model_pgd_acc_list": [0.4] * 19}]}), "of as many shares"),
        (json.dumps({"m": [{**HEALTHY, "model_pgd_acc_list": [40] * 20}]}), "shares in [0, 1]"),
    ],
)
def test_what_is_no_log_is_one_line_and_status_2(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "log.json").write_text(text)
    finished = call("collapse", tmp_path, room="benchmarks")
    assert finished.out == ""
    assert finished.one_line.startswith(f"collapse: {tmp_path}")
    assert expected in finished.one_line
