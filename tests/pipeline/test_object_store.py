"""Files of trials on a disk and in an object store: a real S3 server on this machine, moto's."""

import os
import urllib.request

import pytest
from moto.server import ThreadedMotoServer

from pipeline.trial_files import object_store, open_files
from pipeline.trial_files.disk import DiskFiles
from pipeline.trial_files.object_store import check_url, subfolder
from regmix.errors import InputError
from regmix.exported.file import Exported
from tests.support.files import holding
from tests.support.killing import arguments, check
from tests.support.processes import call, free_port, next_trial, run, start
from tests.support.studies import states


@pytest.fixture
def server(monkeypatch):
    """A store with a bucket: the URL of a folder in it, and the server, which keeps its objects
    while it is stopped."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
    assert urllib.request.urlopen(asked).status == 200
    here = f"region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port}"
    yield f"s3://bucket/some/folder?{here}", server
    server.stop()


@pytest.fixture(params=["disk", "store"])
def files(request, tmp_path):
    if request.param == "disk":
        return open_files(str(tmp_path / "trials"))
    url, _ = request.getfixturevalue("server")
    return open_files(subfolder(check_url(url), "study"))


def test_files_are_written_read_listed_and_removed(files):
    assert list(files.list()) == []
    assert files.read(3, "weights") is None
    files.remove(3, "weights")  # nothing happens
    files.write(3, "weights", holding(b"first"))
    files.write(3, "weights", holding(memoryview(b"second")))
    files.write(12345, "checkpoint.pt", holding(b""))
    assert files.read(3, "weights") == b"second"
    assert files.read(12345, "checkpoint.pt") == b""
    assert files.read(4, "weights") is None
    assert sorted(files.list()) == [(3, "weights"), (12345, "checkpoint.pt")]
    files.remove(3, "weights")
    assert files.read(3, "weights") is None
    assert list(files.list()) == [(12345, "checkpoint.pt")]
    again = open_files(files.uri)
    assert list(again.list()) == [(12345, "checkpoint.pt")]


def test_large_contents_come_back_as_they_were(files):
    content = os.urandom(20 << 20)  # several parts of an upload
    files.write(0, "weights", holding(content))
    assert files.read(0, "weights") == content


def test_on_a_disk_halves_of_a_killed_write_are_listed_and_go_with_the_next_one(tmp_path):
    files = DiskFiles(tmp_path)
    files.write(1, "checkpoint.pt", holding(b"whole"))
    (tmp_path / "0001" / ".checkpoint.pt-abc").write_bytes(b"ha")
    assert (1, ".checkpoint.pt-abc") in files.list()
    files.write(1, "checkpoint.pt", holding(b"next"))
    assert list(files.list()) == [(1, "checkpoint.pt")]
    files.remove(1, "checkpoint.pt")
    assert not (tmp_path / "0001").exists()


def test_two_drivers_may_tidy_one_place_at_once(files):
    for number in (1, 2, 3):
        files.write(number, "checkpoint.pt", holding(b""))
        files.write(number, "weights", holding(b""))
    other = open_files(files.uri)
    listing = files.list()
    seen = [next(listing)]
    other.remove(2, "checkpoint.pt")
    for name in ("checkpoint.pt", "weights"):
        other.remove(1, name)
        other.remove(3, name)
    for number, name in [*seen, *listing]:  # what is gone is no error, found or not
        files.remove(number, name)
    assert list(files.list()) == list(other.list()) == []


def test_a_copy_beside_the_folders_of_trials_is_nobody_s(tmp_path):
    files = DiskFiles(tmp_path)
    files.write(1, "weights", holding(b""))
    (tmp_path / "0001 copy").mkdir()
    (tmp_path / "0001 copy" / "weights").write_bytes(b"")
    assert list(files.list()) == [(1, "weights")]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("checkpoints", "must be a URL such as s3://bucket/folder, but is 'checkpoints'"),
        ("file:///tmp/x", "for a folder that all machines see, use --runs"),
        ("http://[::1", "is no URL (Invalid IPv6 URL)"),
        ("s3:///x", "must be a URL such as"),
        ("s3://key:secret@bucket/x", "give them by the environment, such as AWS_ACCESS_KEY_ID"),
        ("abfs://container:secret@account.dfs/x", "give them by the environment"),
        ("s3://bucket/x?region=a&secret_key=secret", "give them by the environment"),
        ("s3://bucket/x?regoin=a", "is no URL of an object store"),
        (
            "s3://bucket/x?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:1",
            "can't be written to",
        ),
    ],
)
def test_a_wrong_url_is_told_before_anything_starts(monkeypatch, url, words):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InputError, match="--checkpoints") as caught:
        check_url(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_store_s_library_has_no_word_for_is_told_too(monkeypatch):
    """Such as Azure's without credentials: neither an OSError nor one of the URL."""
    pyarrow = pytest.importorskip("pyarrow")

    def refuse(url):
        raise pyarrow.ArrowException(f"Unknown error: no credentials for {url}")

    monkeypatch.setattr(object_store, "_system", refuse)
    with pytest.raises(InputError, match="no credentials for .*can't be written to"):
        check_url("abfs://container@account/x")


def test_a_bucket_that_is_not_there_is_told(server):
    url, _ = server
    with pytest.raises(InputError, match="NO_SUCH_BUCKET.*can't be written to"):
        check_url(url.replace("bucket", "pail", 1))


@pytest.mark.process(seconds=45)
def test_a_search_with_its_checkpoints_in_a_store_outlives_the_store_s_absence_and_a_kill(
    tmp_path, undisturbed, server, cluster
):
    url, store = server
    place = tmp_path / "runs"
    typed = (*arguments(place), "--checkpoints", url, *cluster)
    first = start("search", *typed)
    next_trial(first)
    store.stop()
    out, err = first.communicate(timeout=200)
    store.start()
    assert first.returncode == 2, out + err
    (line,) = err.strip().splitlines()
    assert "the object store does not answer; nothing is lost: the same command goes on" in line
    second = start("search", *typed)
    next_trial(second)
    second.kill()
    second.communicate()
    third = run("search", *typed)
    assert third.code == 0, third.err
    check(place, third.out, undisturbed)
    assert not list(place.rglob("*.safetensors")) and not list(place.rglob("*.pt"))
    left = sorted(open_files(subfolder(check_url(url), "wamr-digits")).list())
    complete = [number for number, row in undisturbed.items() if row.state == "COMPLETE"]
    assert [left for left in left if left[1] == "weights.safetensors"] == [
        (number, "weights.safetensors") for number in sorted(complete)
    ]
    assert "checkpoint.pt" not in {name for _, name in left}
    exported = call("export", "--study", "wamr-digits", "--runs", place, "--out", tmp_path / "out")
    assert exported.code == 0, exported.err
    again = call("train", tmp_path / "out" / "wamr-digits-1.yaml")
    assert again.code == 0, again.out + again.err
    more = ("--top", 1, "--seeds", 1, "--out", tmp_path / "out", *cluster)
    raced = run("confirm", "--study", "wamr-digits", "--runs", place, *more)
    assert raced.code == 0, raced.err
    race = open_files(subfolder(check_url(url), "wamr-digits-confirm"))
    names = [(number, "weights.safetensors") for number in states(place, "wamr-digits-confirm")]
    assert names and set(names) <= set(race.list())
    winner = Exported.read(tmp_path / "out" / "wamr-digits-confirmed.yaml")
    assert winner.weights.read_bytes() in [race.read(*name) for name in names]
    assert not list(place.rglob("*.safetensors"))
    elsewhere = call("search", *arguments(place))
    assert "was begun with another place of checkpoints (url was s3://" in elsewhere.one_line
