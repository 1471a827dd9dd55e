"""Linear algebra in one thread: the workers need the others, and small matrices gain nothing.

With two threads beside two busy workers a Cholesky decomposition of 350 rows took 40 ms of CPU, in
one 1 ms (2 virtual cores of an Intel Xeon, n = 50, 2026-11-30). One thread also adds in one order.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:  # noqa: ANN401  (threadpoolctl has no types)
    import scipy.linalg  # noqa: F401  (its libraries are found where they are loaded)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def single_thread() -> AbstractContextManager[None]:
    """Return what holds the libraries of NumPy and SciPy to one thread within."""
    found: AbstractContextManager[None] = _controller().limit(limits=1)
    return found
