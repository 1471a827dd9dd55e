"""What several tests hold against, built once for all test processes of a run."""

import shutil
from pathlib import Path

from filelock import FileLock


def base(factory):
    """The run's folder for temporary files, the same in every test process."""
    own = Path(factory.getbasetemp())
    return own.parent if own.name.startswith("popen-") else own


def once(factory, name, build):
    """Return a folder that `build` fills, in the first test process that asks.

    The others wait for it. After a failure the next one tries again, in an empty folder.
    """
    place = base(factory) / "shared" / name
    place.parent.mkdir(exist_ok=True)
    done = place.with_name(f"{name}.done")
    with FileLock(place.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            build(place)
            done.touch()
    return place
