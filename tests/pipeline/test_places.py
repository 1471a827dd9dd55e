"""How many trials run at once follows what the cluster has now."""

from threading import Event

import pytest
from ray.tune.search import Searcher
from rich.console import Console

from pipeline.execution.gpu_share import MeasuredShare, TrialResources
from pipeline.execution.orderly_stop import OrderlyStop
from pipeline.execution.places import Places
from pipeline.execution.ray_cluster import ClusterRequest, plan_resources
from pipeline.execution.room import cores_of_each, room
from pipeline.execution.tune import StudySearcher, TuneSession
from pipeline.study.result_order import Arrival
from pipeline.study.retention import Retention
from pipeline.trial_files import open_files
from pipeline.views.live import NO_ROOM, LiveView
from regmix.errors import InputError
from tests.support.controllers import controller_at, finish

ONE = TrialResources(concurrency=1, cpus=1, gpus=0)


class Cluster:
    """A cluster whose nodes and clock a test sets; it counts who looks and what is asked for."""

    def __init__(self, *cores):
        self.cores, self.time, self.looks, self.asked, self.cards = list(cores), 0.0, 0, 0, 0

    def places(self, share=ONE, limit=None, grows=False, measured=None):
        demand = self if grows else None
        return Places(share, limit, 0.0, demand, measured, self.nodes, lambda: self.time)

    def nodes(self):
        self.looks += 1
        return [{"CPU": float(cores), "GPU": float(self.cards)} for cores in self.cores]

    def set(self, count, cpus, gpus):
        self.asked = count

    def after(self, seconds, *cores):
        self.time, self.cores = self.time + seconds, list(cores)


def test_nodes_that_join_and_leave_change_the_number_of_places():
    cluster = Cluster(1)
    places = cluster.places()
    assert not places.refresh(lambda: 9) and places.now == 1
    cluster.after(10, 1, 2)
    assert places.refresh(lambda: 9) and places.now == 3
    cluster.after(10, 2)
    assert places.refresh(lambda: 9) and places.now == 2
    cluster.after(10)
    assert places.refresh(lambda: 9) and places.now == 0


def test_never_more_than_was_said():
    cluster = Cluster(1)
    places = cluster.places(limit=2)
    cluster.after(10, 1, 4)
    places.refresh(lambda: 9)
    assert places.now == 2 and cluster.asked == 0


def test_a_look_is_rare_unless_a_worker_died():
    cluster = Cluster(1)
    places = cluster.places()
    for _ in range(100):
        places.refresh(lambda: 9)
    assert cluster.looks == 1
    places.doubt()
    cluster.after(0.01)
    assert places.refresh(lambda: 9) and places.now == 0


def test_the_time_of_the_places_is_that_of_a_changing_number():
    cluster = Cluster(1)
    places = cluster.places()
    cluster.after(10, 1, 2)  # ten seconds of one
    places.refresh(lambda: 9)
    cluster.after(5, 1)  # five of three
    places.refresh(lambda: 9)
    cluster.after(7, 1)  # seven of one
    assert places.seconds == 10 + 15 + 7
    assert places.in_words == "1 to 3"
    assert cluster.places().in_words == "1"


def test_what_is_missing_is_asked_for_while_there_is_work():
    cluster = Cluster(1)
    places, work = cluster.places(limit=4, grows=True), 9
    places.refresh(lambda: work)
    assert cluster.asked == 3
    cluster.after(10, 1, 2)
    places.refresh(lambda: work)
    assert cluster.asked == 1
    cluster.after(10, 1)  # a node left, but the study nears its end
    work = 2
    places.refresh(lambda: work)
    assert cluster.asked == 1
    cluster.after(10, 1)
    work = 0
    places.refresh(lambda: work)
    assert cluster.asked == 0


def test_nothing_is_asked_for_where_no_number_was_said():
    cluster = Cluster(1)
    cluster.asked = 7
    cluster.places(grows=True).refresh(lambda: 9)
    assert cluster.asked == 7


def test_a_cluster_without_room_at_the_start_is_told_of_once():
    cluster = Cluster()
    places = cluster.places(TrialResources(0, 1, 0), limit=2)
    assert places.refresh(lambda: 9)
    cluster.after(10)
    assert not places.refresh(lambda: 9)


def test_a_measured_share_follows_the_cards_that_there_are():
    cluster = Cluster(4)
    cluster.cards = 1
    places = cluster.places(measured=MeasuredShare(4, 1))
    places.refresh(lambda: 9)
    assert (places.now, places.given) == (1, TrialResources(1, 4, 1.0))
    cluster.after(10, 4, 2)  # another node with a card, and half as many cores
    places.refresh(lambda: 9)
    assert (places.now, places.given) == (2, TrialResources(2, 2, 1.0))
    cluster.after(10)
    places.refresh(lambda: 9)
    assert places.now == 0
    cluster.after(10, 4)
    places.refresh(lambda: 9)
    assert places.now == 1


@pytest.mark.parametrize(
    ("cluster", "cpus", "gpus", "fit"),
    [
        ([{"CPU": 3.0}, {"CPU": 3.0}], 2, 0, 2),  # not the 3 of the sum
        ([{"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}], 1, 1, 1),
        ([{"CPU": 8.0, "GPU": 4.0}], 1, 0.6, 4),  # a share lies on one card: not 6
        ([{"CPU": 8.0, "GPU": 1.0}], 1, 1 / 3, 3),
        ([{"CPU": 8.0, "GPU": 3.0}], 1, 2, 1),
        ([{"CPU": 2.0, "GPU": 4.0}], 1, 0.5, 2),
        ([{"memory": 1.0}, {"CPU": 0.5}], 1, 0, 0),
        ([], 1, 0, 0),
    ],
)
def test_a_trial_lies_on_one_node(cluster, cpus, gpus, fit):
    assert room(cluster, cpus, gpus) == fit


def test_the_cores_of_a_trial_are_there_where_its_card_is():
    nodes = [{"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}]
    assert cores_of_each(nodes, 1, 1) == 2  # 10 would fit nowhere
    assert cores_of_each([{"CPU": 8.0, "GPU": 2.0}] * 2, 4, 1) == 4
    assert cores_of_each([{"CPU": 8.0, "GPU": 4.0}], 2, 1) == 4
    assert cores_of_each([], 0, 1) == 1


def test_a_cluster_without_room_is_refused_unless_it_is_asked_to_grow(monkeypatch):
    monkeypatch.setattr("pipeline.execution.ray_cluster.nodes", lambda: [{"CPU": 4.0}])
    with pytest.raises(InputError, match="Ray has 4 cores and 0 GPUs, too few for one trial"):
        plan_resources(ClusterRequest("HEAD:1", None, 1))
    with pytest.raises(InputError, match="too few"):
        plan_resources(ClusterRequest(None, 3, 1))  # Ray of its own never grows
    assert plan_resources(ClusterRequest("HEAD:1", 3, 1)) == TrialResources(0, 1, 1)


class Watcher:
    def __init__(self):
        self.told = []

    def places_changed(self, now):
        self.told.append(now)


def session_of(controller, tmp_path, places, **more):
    retention = Retention(controller.record, open_files(str(tmp_path / "files")))
    order = Arrival(controller)
    return TuneSession(controller, order, retention, places, Event(), OrderlyStop(60), **more)


def test_a_search_begins_what_fits_and_tells_its_views(tmp_path):
    cluster, watcher = Cluster(1), Watcher()
    places = cluster.places()
    session = session_of(controller_at(tmp_path), tmp_path, places, watchers=(watcher,))
    searcher = StudySearcher(session)
    assert searcher.suggest("a") and not searcher.suggest("b")
    cluster.after(10, 1, 1)
    assert searcher.suggest("b") and not searcher.suggest("c")
    cluster.after(0.1)
    session.complete("a", None)  # its worker died with its node: no period is waited for
    session.complete("b", None)
    assert searcher.suggest("a") is None
    assert watcher.told == [2, 0]


def test_a_complete_study_ends_where_no_node_is_left(tmp_path):
    controller, cluster = controller_at(tmp_path, trials=1), Cluster()
    share = TrialResources(0, 1, 0)
    searcher = StudySearcher(session_of(controller, tmp_path, cluster.places(share)))
    assert searcher.suggest("a") is None  # it waits for room
    finish(controller, controller.ask())
    assert searcher.suggest("a") == Searcher.FINISHED


@pytest.mark.parametrize(("most", "asked"), [(9, 3), (2, 1)])
def test_no_more_is_asked_for_than_there_are_trials_and_lockstep_uses(tmp_path, most, asked):
    cluster = Cluster(1)
    places = cluster.places(limit=9, grows=True)
    session_of(controller_at(tmp_path, trials=4), tmp_path, places, most=most).look()
    assert cluster.asked == asked


def test_a_view_says_once_that_there_is_no_room(tmp_path, capsys):
    controller = controller_at(tmp_path)
    view = LiveView(controller.record, (), 4, controller.budget, Console(width=100))
    view.places_changed(0)
    view.places_changed(2)
    assert capsys.readouterr().out.splitlines() == [
        NO_ROOM,
        "the cluster has room for 2 trials at once now",
    ]


def test_a_live_table_shows_that_there_is_no_room(tmp_path):
    controller = controller_at(tmp_path)
    console = Console(width=120, record=True)
    view = LiveView(controller.record, (), 4, controller.budget, console)
    view.places_changed(0)
    console.print(view.table())
    assert NO_ROOM in console.export_text()
    view.places_changed(1)
    console.print(view.table())
    assert NO_ROOM not in console.export_text()
