"""What Ray reads of the environment, set before it is imported; the places for its files."""

import contextlib
import os
import resource
import secrets
import tempfile
from pathlib import Path

from pipeline.base.paths import ROOT
from regmix.errors import InputError, shown

ALWAYS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
}
# Where Ray may not be a cluster, all its processes listen on the loopback interface alone.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_SOCKET = 107  # bytes that the name of a socket may have
_WITHIN = len("/rgmx-1234/session_2026-01-01_00-00-00_123456_1234567/sockets/plasma_store")
_PROGRAMS = os.defpath.split(os.pathsep)
_FILES = 512  # open files, below which Ray's processes do not come up


def of_its_own() -> None:
    """Prepare for a Ray on this machine that nobody else shall use.

    What the user's environment says to Ray is for another one, such as RAY_ADDRESS. A token of its
    own spares the file in the home folder, which may not be writable.

    Raises:
        InputError: where too few files may be open.
    """
    for name in [name for name in os.environ if name.startswith(("RAY_", "TUNE_"))]:
        del os.environ[name]
    os.environ.update(ALWAYS | _LOOPBACK | {"RAY_AUTH_TOKEN": secrets.token_urlsafe(32)})
    _put_root_first()
    _complete_path()
    _allow_files()


def of_a_cluster() -> None:
    """Prepare for a cluster; what the user's environment says to Ray holds."""
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    _put_root_first()


def _complete_path() -> None:
    """Let Ray find the system's own programs, without which its workers never come up."""
    known = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(filter(None, dict.fromkeys([*known, *_PROGRAMS])))


def _put_root_first() -> None:
    path = os.environ.get("PYTHONPATH", "")
    if path.split(os.pathsep)[0] != str(ROOT):
        os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)


def _allow_files() -> None:
    """Let as many files be open as the system lets this user have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        raise InputError(
            f"ulimit -n: Ray must have at least {_FILES} open files, but may have {soft}; raise it"
        )


def temporary() -> Path:
    """Return the folder for temporary files.

    Raises:
        InputError: where there is none that can be written to.
    """
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise InputError(
            f"TMPDIR: {error.strerror}; name a folder that can be written to"
        ) from None


def for_sockets() -> Path:
    """Return the folder for Ray's files: RAY_TMPDIR, else that for temporary files.

    Raises:
        InputError: where its name is too long for a socket, or it can't be written to.
    """
    told = os.environ.get("RAY_TMPDIR")
    place = Path(os.path.abspath(told)) if told else temporary()
    name = "RAY_TMPDIR" if told else "TMPDIR"
    if len(os.fsencode(place)) + _WITHIN > _SOCKET:
        raise InputError(
            f"{name}: must be short, since Ray's sockets lie there and their names have at most "
            f"{_SOCKET} bytes, but is {place}; set RAY_TMPDIR=/tmp"
        )
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise InputError(
            f"{name}: must be a folder that can be written to, but is {shown(str(place))}; set "
            "RAY_TMPDIR=/tmp"
        )
    return place
