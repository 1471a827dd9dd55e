"""For how many trials each node of the cluster has room, and how the cluster is asked for more."""

from collections.abc import Mapping, Sequence
from typing import Any

Node = Mapping[str, float]
"""What a node has: 'CPU' -> number of cores, 'GPU' -> number of cards, where it has any."""

_NEARLY = 1e-9  # three thirds of a card are one


def nodes() -> list[Node]:
    """Return what each node that lives has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def total(cluster: Sequence[Node], what: str) -> float:
    """Return how many cores or cards all nodes have together."""
    return sum(node.get(what, 0.0) for node in cluster)


def room(cluster: Sequence[Node], cpus: float, gpus: float) -> int:
    """Return how many trials fit at once: a trial lies on one node, a share of a card on one card.

    Args:
        cluster: what each node has.
        cpus: cores of a trial.
        gpus: cards of a trial, or its share of one; 0 without.
    """
    return sum(_room_of(node, cpus, gpus) for node in cluster)


def _room_of(node: Node, cpus: float, gpus: float) -> int:
    by_cores = int(node.get("CPU", 0.0) / cpus + _NEARLY)
    if not gpus:
        return by_cores
    cards = node.get("GPU", 0.0)
    if gpus < 1:
        return min(by_cores, int(cards) * int(1 / gpus + _NEARLY))
    return min(by_cores, int(cards / gpus + _NEARLY))


def cores_of_each(cluster: Sequence[Node], at_once: int, gpus: float) -> int:
    """Return the most cores that each of so many trials can have, at least 1."""
    most = max((int(node.get("CPU", 0.0)) for node in cluster), default=1)
    fitting = (cores for cores in range(most, 1, -1) if room(cluster, cores, gpus) >= at_once)
    return next(fitting, 1) if at_once else 1


class Demand:
    """What a cluster is asked for beyond what it has, so that an autoscaler adds nodes.

    Autoscalers go by what waits for room. So a place for a trial waits there without a trial: one
    that is chosen long before it can run would know less than it could. Ray takes the waiting
    places back when this driver ends, however it ends.
    """

    def __init__(self) -> None:
        """Ask for nothing yet."""
        self._waiting: list[Any] = []

    def set(self, count: int, cpus: float, gpus: float) -> None:
        """Let so many places wait, new ones with so many cores and cards.

        Where one was granted there is room, which is a trial's: all are given back then, and none
        waits before the next call, since a new one could be served before that trial.
        """
        from ray.util.placement_group import placement_group, placement_group_table
        from ray.util.placement_group import remove_placement_group as give_back

        granted = any(placement_group_table(one)["state"] == "CREATED" for one in self._waiting)
        count = 0 if granted else count
        while len(self._waiting) > count:
            give_back(self._waiting.pop())
        place = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
        while len(self._waiting) < count:
            self._waiting.append(placement_group([place]))
