"""Two drivers on one study in a database: each its own trials, and a dead one's are taken over."""

import pytest

from pipeline import pruners
from pipeline.problem.problem import SearchProblem
from pipeline.study.controller import StudyController
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.storage import open_storage
from tests.support.controllers import MACHINE, metrics


@pytest.fixture
def two(tmp_path):
    """Two drivers of one SQLite study, and what makes a third."""

    def driver(trials=3):
        import optuna

        storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", tmp_path, beat=1)
        study = optuna.create_study(
            study_name="s", storage=storage, direction="maximize", load_if_exists=True
        )
        question = SearchProblem.load("wamr", "digits", {"epochs": 4})
        bridge = StudyController(
            study,
            question,
            pruners.build("none", 4),
            "random",
            0,
            trials=trials,
            heartbeat=Heartbeat(study, 1),
        )
        bridge.recover()
        bridge.begin()
        return bridge

    return driver


def age(bridge, number, seconds):
    """Let a trial's last heartbeat lie so far back."""
    import sqlalchemy

    identity = bridge.frozen(number)._trial_id
    with bridge.study._storage._backend.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, :ago) "
                "WHERE trial_id = :identity"
            ),
            {"ago": f"-{seconds} seconds", "identity": identity},
        )


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_living_drivers_trials_are_left_alone_and_a_dead_ones_go_on(two):
    one, other = two(), two()
    mine, theirs = one.ask(), other.ask()
    assert (mine.number, theirs.number) == (0, 1)
    one.report(0, metrics(1, 0.4), MACHINE)
    assert two().recover() == []
    age(one, 0, 60)
    assert other.recover() == [0]
    again = other.ask()
    assert (again.number, again.reported) == (0, 1)
    assert two().recover() == []  # its old beat does not count any more


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_driver_puts_back_only_its_own_at_its_end(two):
    one, other = two(), two()
    one.ask(), other.ask()
    assert one.release() == [0]
    assert other.frozen(1).state.name == "RUNNING"
    assert other.ask().number == 0


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_no_trial_too_many_where_both_ask_for_the_last(two):
    one, other = two(trials=2), two(trials=3)
    one.ask()
    other.ask(), other.ask()
    assert one.ask() is None
    late = two(trials=2)
    late.remaining = lambda: 1  # both saw one left
    assert late.ask() is None
    assert late.frozen(3).user_attrs["reason"] == "another driver began the last trial"
    assert "config" not in late.frozen(3).user_attrs


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_while_another_driver_runs_trials_the_study_is_not_over(two):
    one, other = two(trials=1), two(trials=1)
    one.ask()
    assert other.ask() is None and other.shared
    assert not one.shared
