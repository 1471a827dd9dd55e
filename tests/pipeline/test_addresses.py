"""Addresses: built and parsed by one module, asked once and within seconds, and never echoed whole.

Nothing of ours lies where a start was refused.
"""

import contextlib
import http.server
import os
import socket
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base import address
from pipeline.base.address import check_database, parse, sqlite_file, sqlite_url
from pipeline.execution.ray_cluster import check_answers
from pipeline.study.storage import check_storage
from pipeline.tracking.uri import check_uri, connect, mlflow_url
from regmix.errors import InputError, masked
from regmix.reading import read_part
from tests.support.processes import call, free_port

SECRET = "hunter2"


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1))
def test_every_name_of_a_folder_comes_back_from_its_address(name):
    path = Path("/runs") / name / "mlflow.db"
    assert sqlite_file(sqlite_url(path)) == path
    assert sqlite_file(mlflow_url(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:{}@host/name",
        "postgresql+psycopg://user:{}@host:5432/name?sslmode=require",
        "postgresql://user:a/b@{}@host/name",
        "postgresql://host/name?user=u&password={}",
        "mysql+pymysql://u:{}@h/d",
        "http://user:{}@host:5000",
        "http://{}@host:5000/x",
        "s3://key:{}@bucket/folder",
        "s3://bucket/folder?access_key=A&secret_key={}&region=x",
        "http://host/?token={}",
        'connection failed: invalid dsn "user=u password={} host=h"',
        "--storage 'postgresql://u:{}@h/d' --top 3",
    ],
)
def test_no_message_holds_a_password(text):
    assert SECRET not in masked(text.format(SECRET))
    assert SECRET not in str(InputError(f"--storage {text.format(SECRET)}: can't be opened"))
    assert masked(masked(text.format(SECRET))) == masked(text.format(SECRET))


@pytest.mark.parametrize("text", ["sqlite:////a b/c.db", "a@b: 3:4", "s3://b/c?region=x"])
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_the_words_after_an_address_stay():
    assert masked("--x postgresql://h/d?password=a:b: can't") == (
        "--x postgresql://h/d?password=***: can't"
    )


def silent():
    """A server that takes a connection and never says a word."""
    return socket.create_server(("127.0.0.1", 0))


def foreign(path):
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE letters (text)")
    return path


def places(folder):
    """Return what a person may give by mistake for a file."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "letter").write_text("Dear reader, this is no database. " * 40)
    return {
        "folder": (folder / "folder", "it is a folder"),
        "a pipe": (folder / "pipe", "it is no regular file"),
        "a loop": (folder / "loop", "Too many levels of symbolic links"),
        "a device": (Path("/dev/null"), "it is no regular file"),
        "a letter": (folder / "letter", ""),
        "nowhere": (folder / "no" / "such" / "x.db", "no such folder"),
        "another program": (foreign(folder / "other.db"), ""),
        "a long name": (folder / ("x" * 300), "File name too long"),
        "a NUL": (folder / "x\0y", "holds a NUL"),
    }


KINDS = ["folder", "a pipe", "a loop", "a device", "a letter", "nowhere", "another program"]
KINDS += ["a long name", "a NUL"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["--storage", "--storage URL", "--tracking-uri"])
def test_a_file_that_can_t_be_one_is_refused_and_nothing_is_left(tmp_path, option, kind):
    path, words = places(tmp_path)[kind]
    before = sorted(tmp_path.rglob("*"))
    given_address = str(path) if option == "--storage" else sqlite_url(path)
    ask = check_uri if option == "--tracking-uri" else check_storage
    with pytest.raises(InputError, match=option.partition(" ")[0]) as caught:
        ask(given_address)
    assert words in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/dev/null.lock").exists() and not Path("/dev/null.driver").exists()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "must be sqlite:///FILE"),
        (" ", "must be sqlite:///FILE"),
        ("mlruns", "must be sqlite:///FILE"),
        ("ftp://host/x", "must be sqlite:///FILE"),
        ("databricks", "must be sqlite:///FILE"),
        ("databricks://profile", "must be sqlite:///FILE"),
        ("file:///tmp/mlruns", "must be sqlite:///FILE"),
        ("oracle://u@h/d", "must be sqlite:///FILE"),
        ("sqlite://", "a database in memory ends"),
        ("sqlite:///", "a database in memory ends"),
        ("sqlite:///:memory:", "a database in memory ends"),
        ("sqlite:///x.db?timeout=9", "without options after '?'"),
        ("sqlite+aiosqlite:///x.db", "without a driver"),
        ("sqlite:///file:x?mode=memory&uri=true", "a database in memory ends"),
        ("postgresql://u:p@ss@h/d", "write them as %20, %40"),
        ("postgresql://u@h:port/d", "must be a URL such as"),
        ("postgresql+nosuch://u:hunter2@h/d", "can't be opened"),
        ("mysql+nosuch://u:hunter2@h/d", "can't be opened"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/d", "can't be opened"),
        ("http://u:hunter2@127.0.0.1:1", "no MLflow server answers"),
        ("http://", "no MLflow server answers"),
        ("http://127.0.0.1:port", "no MLflow server answers"),
        ("https://no.such.host.invalid", "no MLflow server answers"),
    ],
)
def test_a_tracking_uri_of_another_kind_or_away_is_one_line(uri, words):
    with pytest.raises(InputError) as caught:
        check_uri(uri)
    line = str(caught.value)
    assert line.startswith("--tracking-uri") and words in line
    assert "hunter2" not in line and len(line) < 300


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "is empty"),
        ("sqlite://", "a database in memory ends"),
        ("sqlite:///:memory:", "a database in memory ends"),
        ("nosuch://u:hunter2@h/d", "can't be opened"),
        ("ftp://h/x", "can't be opened"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/d", "can't be opened"),
    ],
)
def test_a_storage_of_another_kind_or_away_is_one_line(spec, words):
    with pytest.raises(InputError) as caught:
        check_storage(spec)
    assert str(caught.value).startswith("--storage") and words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["postgresql+psycopg://u:p@127.0.0.1:{}/d", "http://127.0.0.1:{}"])
def test_a_server_that_is_silent_is_told_within_seconds(monkeypatch, uri):
    monkeypatch.setattr(address, "PATIENCE", 0.2)
    with silent() as server, pytest.raises(InputError, match="no answer within 0.2 s"):
        check_uri(uri.format(server.getsockname()[1]))


def test_what_is_new_is_not_made_and_what_is_relative_is_named_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_uri("sqlite:///mine.db") == f"sqlite:///{tmp_path / 'mine.db'}"
    assert check_storage("sqlite:///mine.db") == f"sqlite:///{tmp_path / 'mine.db'}"
    assert check_storage("mine.log") == str(tmp_path / "mine.log")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="no such file"):
        check_storage("sqlite:///mine.db", create=False)
    with pytest.raises(InputError, match="No such file"):
        check_storage("mine.log", create=False)


def test_a_database_that_another_process_writes_to_is_no_mistake(tmp_path):
    path = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("CREATE TABLE experiments (x)")
        base.execute("BEGIN EXCLUSIVE")
        address_ = sqlite_url(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(address, "_CONNECT", 0.05)
            assert check_database(address_, "--tracking-uri", "experiments") == address_


def test_one_database_for_study_and_view_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'both.db'}"
    typed = ("--recipe", "digits", "--runs", tmp_path / "runs", "--storage", url)
    line = call("search", *typed, "--tracking-uri", url).one_line
    assert "--storage and --tracking-uri: name one database" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["confirm", "export"])
def test_a_command_that_reads_a_study_makes_no_database(tmp_path, script):
    url = f"sqlite:///{tmp_path / 'none.db'}"
    line = call(script, "--study", "x", "--storage", url, "--runs", tmp_path).one_line
    assert "no such file" in line
    assert list(tmp_path.iterdir()) == []


class _Mlflow(http.server.BaseHTTPRequestHandler):
    """Answers as MLflow with basic authentication does: 401 without the right words."""

    def do_GET(self):
        right = self.headers.get("Authorization") == "Basic dTpwQHNz"  # u:p@ss
        content = b'{"experiments": []}' if right else b"no"
        self.send_response(200 if right else 401)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class _Other(_Mlflow):
    """A server of another program, which says yes to everything."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")


@contextlib.contextmanager
def serving(handler):
    with http.server.HTTPServer(("127.0.0.1", free_port()), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_server_with_a_password_is_understood(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # as before afterwards
    with serving(_Mlflow) as where:
        assert check_uri(f"http://u:p%40ss@{where}")
        with pytest.raises(InputError, match="refuses the user or password") as caught:
            check_uri(f"http://u:hunter2@{where}")
        assert "hunter2" not in str(caught.value)
        client = connect(f"http://u:p%40ss@{where}")
        assert client.tracking_uri == f"http://{where}"
        # which MLflow's client takes from there, and so does a check without them
        assert os.environ["MLFLOW_TRACKING_USERNAME"] == "u"
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss"
        assert check_uri(f"http://{where}")


def test_a_server_of_another_program_is_told():
    with serving(_Other) as where, pytest.raises(InputError, match="another program does"):
        check_uri(f"http://{where}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_file_that_can_only_be_read_is_refused(tmp_path):
    path = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE studies (x)")
    path.chmod(stat.S_IRUSR)
    with pytest.raises(InputError, match="readonly"):
        check_storage(sqlite_url(path))


def test_a_password_with_a_blank_or_an_at_is_told_how_to_be_written():
    for text in ("postgresql://u:a b@c@h/d", "postgresql://u:a@b@h/d"):
        with pytest.raises(InputError, match="%40") as caught:
            parse(text, "--storage")
        assert "a b@" not in str(caught.value)


ADDRESSES = ["s3://bucket/runs", "file:///tmp/x", "http://127.0.0.1:9", "sqlite:x.db", "sqlite:/x"]


@pytest.mark.parametrize("address_", ADDRESSES)
@pytest.mark.parametrize("option", ["--runs", "--data-dir", "--plugins"])
def test_an_address_is_no_folder_of_that_name(tmp_path, monkeypatch, option, address_):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.yaml").write_text("data: image_folder\nmodel: small_cnn\nattack: fgsm\n")
    line = call("search", "--recipe", "task.yaml", option, address_).one_line
    assert f"{option}: must be a path of this machine" in line
    assert [path.name for path in tmp_path.iterdir()] == ["task.yaml"]


@pytest.mark.parametrize("spec", ["sqlite:x.db", "sqlite:/x.db", "postgresql:d"])
def test_half_a_url_is_no_journal_of_that_name(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--storage: must be a path of this machine"):
        check_storage(spec)
    assert check_storage(f"./{spec}".replace("/x", "x")) == str(tmp_path / spec.replace("/x", "x"))


NAMES = {"long": "x" * 300, "deep": "/".join(["y" * 200] * 30), "very deep": "a/" * 3000}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("data", ["image_folder", "npz", "cifar10", "tinyimagenet"])
def test_a_folder_of_images_has_a_name_that_a_path_can_have(name, data):
    with pytest.raises(InputError, match="File name too long"):
        read_part(data, {"data_dir": name}, "train")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("script", ["search", "confirm", "export", "ui"])
def test_a_folder_of_runs_or_plug_ins_has_a_name_that_a_path_can_have(script, name):
    study = [] if script in ("search", "ui") else ["--study", "x"]
    options = ["--runs"] if script in ("ui", "confirm") else ["--runs", "--plugins"]
    for option in options:
        assert "File name too long" in call(script, *study, option, name).one_line


def test_a_study_s_name_and_a_cluster_s_that_are_too_long_are_told(tmp_path):
    line = call("export", "--study", "x" * 300, "--runs", tmp_path).one_line
    assert "unknown study" in line
    with pytest.raises(InputError, match="no Ray cluster answers"):
        check_answers("x" * 300 + ":1")


@pytest.mark.parametrize("address_", ["127.0.0.1:-1", "127.0.0.1:", "127.0.0.1:x", "h:٣", "h:1 "])
def test_a_cluster_s_port_is_a_number(address_):
    """Ray would ask for minutes at port -1."""
    with pytest.raises(InputError, match="no Ray cluster answers .* is no port"):
        check_answers(address_)


def test_more_seeds_than_a_race_can_have_are_refused(tmp_path):
    line = call("confirm", "--study", "x", "--runs", tmp_path, "--seeds", "1e9").one_line
    assert "--seeds must lie in [1, 1000]" in line
