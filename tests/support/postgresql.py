"""A PostgreSQL server of its own, where the programs of one are installed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.processes import free_port


def binary(name):
    """Return the path of one of its programs, None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


@contextlib.contextmanager
def postgresql():
    """Run a server on 127.0.0.1; it refuses to run as root, so another user does. Yield its URL."""
    initialize = [binary("initdb"), "-A", "trust", "-U", "search", "-D"]
    place = Path(tempfile.mkdtemp(prefix="postgresql-"))  # no folder above it shuts that user out
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    os.chown(place, user.pw_uid, user.pw_gid)
    port, data = free_port(), place / "data"

    def as_user(*words):
        other = (user.pw_uid, user.pw_gid) if os.getuid() == 0 else (None, None)
        subprocess.run(
            words, check=True, stdout=subprocess.DEVNULL, cwd="/", user=other[0], group=other[1]
        )

    as_user(*initialize, data)
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = (binary("pg_ctl"), "-D", data)
    as_user(*control, "-w", "-o", settings, "-l", place / "log", "start")
    try:
        yield f"postgresql+psycopg://search@127.0.0.1:{port}/postgres"
    finally:
        as_user(*control, "-m", "immediate", "stop")
        shutil.rmtree(place)
