"""Files of trials in an object store: for machines that share no file system."""

import contextlib
import errno
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, TypeVar

from pipeline.base.address import within_seconds
from regmix.errors import InputError, first_line, masked, shown

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs")
_PROBE = "probe"
_T = TypeVar("_T")


class StoreUnavailableError(OSError):
    """An object store does not answer or refuses: no trial is to blame, as for a full disk."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(errno.EREMOTEIO, "object store", masked(f"{place} ({reason})"))


@dataclass(frozen=True)
class ObjectStoreFiles:
    """A prefix of a bucket; credentials come from each machine's environment.

    An object appears when it is complete, so a kill in the middle of a write leaves the old one.

    uri: the URL, such as s3://bucket/prefix?region=eu-west-1; the query is the store's.
    """

    uri: str

    def list(self) -> Iterator[tuple[int, str]]:
        """Ask once for all objects under the prefix."""
        from pyarrow.fs import FileSelector

        def ask() -> list[str]:
            files, root = _system(self.uri)
            under = FileSelector(root, recursive=True, allow_not_found=True)
            found = [info for info in files.get_file_info(under) if info.is_file]
            return [info.path.removeprefix(f"{root}/") for info in found]

        for path in self._checked(ask):
            if found := re.fullmatch(r"(\d+)/([^/]+)", path):
                yield int(found[1]), found[2]

    def read(self, number: int, name: str) -> bytes | None:
        """Get an object."""

        def get() -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                files, path = self._object(number, name)
                with files.open_input_stream(path) as stream:
                    return bytes(stream.read())
            return None

        return self._checked(get)

    def write(self, number: int, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Put an object, in parts as it comes."""

        def put() -> None:
            files, path = self._object(number, name)
            with files.open_output_stream(path) as stream:
                fill(stream)

        self._checked(put)

    def remove(self, number: int, name: str) -> None:
        """Delete an object."""

        def delete() -> None:
            files, path = self._object(number, name)
            with contextlib.suppress(FileNotFoundError):
                files.delete_file(path)

        self._checked(delete)

    def _object(self, number: int, name: str) -> tuple["FileSystem", str]:
        files, root = _system(self.uri)
        return files, f"{root}/{number:04d}/{name}"

    def _checked(self, call: Callable[[], _T]) -> _T:
        from pyarrow import ArrowException

        try:
            return call()
        except (OSError, ArrowException) as error:
            if isinstance(error, ValueError | NotImplementedError):  # of the URL, not of the store
                raise
            reason = first_line(error)
            reason = reason.partition("; Details")[0]
            if known := re.search(r"AWS Error ([A-Z_]+)", reason):  # of a sentence with it in it
                reason = known[1]
            raise StoreUnavailableError(self.uri, reason) from None


@cache
def _system(url: str) -> tuple["FileSystem", str]:
    """Return a client, and bucket and prefix: one client for each URL in a process."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem, S3FileSystem

    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "s3":
        files, path = FileSystem.from_uri(url)
        return files, str(path)
    # as from_uri, but for a store that takes connections and is silent: that one waits 90 s
    options = dict(urllib.parse.parse_qsl(parts.query))
    if unknown_ := options.keys() - {"region", "scheme", "endpoint_override"}:
        raise ValueError(f"{shown(unknown_.pop())} is none of region, scheme and endpoint_override")
    retries = AwsStandardS3RetryStrategy(max_attempts=3)
    client = S3FileSystem(connect_timeout=5, request_timeout=10, retry_strategy=retries, **options)
    return client, parts.netloc + parts.path.rstrip("/")


def check_url(url: str) -> str:
    """Prove that a URL can be written to, and return it without a slash at its end.

    Raises:
        InputError: for another scheme, credentials within the URL, or a store that refuses.
    """
    place = "command line: --checkpoints"
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise InputError(f"{place}: {shown(masked(url))} is no URL ({error})") from None
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise InputError(
            f"{place} must be a URL such as s3://bucket/folder, but is "
            f"{shown(masked(url))}; for a folder that all machines see, use --runs"
        )
    who, at, _ = parts.netloc.partition("@")
    container = parts.scheme in ("abfs", "abfss") and ":" not in who  # CONTAINER@ACCOUNT there
    if (at and not container) or masked(url) != url:
        raise InputError(
            f"{place}: holds credentials, which the study would keep for all to read; give them by "
            "the environment, such as AWS_ACCESS_KEY_ID"
        )
    url = urllib.parse.urlunsplit(parts._replace(path=parts.path.rstrip("/")))
    try:
        within_seconds(lambda: _probe(ObjectStoreFiles(url)))
    except StoreUnavailableError as error:
        raise InputError(f"{place} {error.filename}: can't be written to; check it") from None
    except TimeoutError as error:
        raise InputError(f"{place} {url}: can't be written to ({error}); check it") from None
    except (ValueError, NotImplementedError) as error:  # pyarrow's, of the query or its build
        raise InputError(f"{place} {url}: is no URL of an object store ({error})") from None
    return url


def _probe(store: ObjectStoreFiles) -> None:
    store.write(0, _PROBE, lambda stream: stream.write(b"x"))
    store.remove(0, _PROBE)


def subfolder(url: str, name: str) -> str:
    """Return the URL of a folder within another one's."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=f"{parts.path}/{name}"))
