"""Studies deleted, renamed, packed and restored: whole or not at all, whatever kills it."""

import json
import os
import shutil
import signal
import sys
import zipfile
from functools import partial

import optuna
import pytest

from pipeline.driver.shelf import Shelf
from pipeline.study import archive, shelving
from pipeline.study.optuna_private import renamed
from pipeline.study.storage import exclusive, open_storage
from pipeline.study.studies import Studies
from pipeline.views.study_list import summary_of
from regmix.errors import InputError
from tests.support.controllers import VERSIONS, controller_at, finish, study_at
from tests.support.processes import call
from tests.support.studies import shown

CHANGES = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.copyfile", "open")


def trained(place, *, race):
    """Begin the study `s` with two complete trials, as a race with one that was left running."""
    controller = controller_at(place, trials=2)
    for robust in (0.4, 0.5):
        request = controller.ask()
        if race:
            break
        finish(controller, request, robust)
    return controller


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    for name in ("old", "old-confirm", "other"):
        place = base / "studies" / name
        (place / "trials" / "0000").mkdir(parents=True)
        (place / "trials" / "0000" / "weights.safetensors").write_bytes(name.encode() * 100)
        controller = trained(place, race=name.endswith("-confirm"))
        if name == "old-confirm":
            controller.record.hold("source", {"birth": Studies(base).open("old").study.birth})
        with open(place / "journal.log", "rb") as journal:
            lines = list(renamed(journal, {"s": name}))
        (place / "journal.log").write_bytes(b"".join(lines))
    return base


@pytest.fixture
def runs(_folder, tmp_path):
    """A folder with the study `old`, its race and weights, and the study `other`."""
    return shutil.copytree(_folder, tmp_path / "runs")


def said(runs, name):
    """What a study and its race say, without their names."""
    opened = Studies(runs).open(name)
    document = summary_of(opened).document()
    assert opened.race is not None
    return {**document, "study": None}, opened.study.birth, opened.race.birth


def weights(runs, name):
    return (runs / "studies" / name / "trials" / "0000" / "weights.safetensors").read_bytes()


def test_a_study_and_its_race_get_another_name_and_say_the_same(runs):
    before = said(runs, "old")
    result = call("status", "--runs", runs, "--rename", "old", "new")
    assert (result.code, result.out, result.err) == (0, "old is new now\n", "")
    assert said(runs, "new") == before
    assert Studies(runs).names() == ["new", "other"]
    assert (weights(runs, "new"), weights(runs, "new-confirm")) == (
        b"old" * 100,
        b"old-confirm" * 100,
    )
    controller = controller_of_name(runs, "new")
    assert len(controller.trials) == 2, "the same command goes on with it"


def controller_of_name(runs, name):
    storage = open_storage(None, runs / "studies" / name)
    return optuna.load_study(study_name=name, storage=storage)


def test_a_study_is_deleted_with_its_race_and_nothing_else(runs):
    result = call("status", "--runs", runs, "--delete", "old", "--yes")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("deleted old and old-confirm (")
    assert sorted(path.name for path in (runs / "studies").iterdir()) == [".work", "other"]


def test_a_study_that_can_not_be_read_is_deleted_too(runs):
    (runs / "studies" / "other" / "journal.log").write_text("nothing\n")
    assert call("status", "--runs", runs, "--delete", "other", "--yes").code == 0
    assert Studies(runs).names() == ["old"]


@pytest.mark.parametrize("held", ["old", "old-confirm"])
@pytest.mark.parametrize(
    "words",
    [("--delete", "old", "--yes"), ("--rename", "old", "new"), ("--study", "old", "--archive")],
    ids=["delete", "rename", "archive"],
)
def test_a_study_that_runs_is_refused_and_stays(runs, held, words):
    words = (*words, runs / "a.zip") if "--archive" in words else words
    before = said(runs, "old")
    with exclusive(runs / "studies" / held, None) as claim:
        claim.made = True
        assert "is running it; wait for its end" in call("status", "--runs", runs, *words).one_line
    assert said(runs, "old") == before
    assert not (runs / "a.zip").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rename", "old", "other"), "there is a study other already"),
        (("--rename", "old", "old"), "must be another name"),
        (("--rename", "old", "x-confirm"), "must be another name"),
        (("--rename", "old", "../x"), "--rename: must be letters"),
        (("--rename", "old-confirm", "x"), "is a race; rename its search"),
        (("--rename", "none", "x"), "unknown study 'none'"),
        (("--delete", "none", "--yes"), "unknown study 'none'"),
        (("--study", "old", "--archive", "x.tar"), "whose name ends in .zip"),
        (("--study", "none", "--archive", "x.zip"), "unknown study 'none'"),
        (("--restore", "none.zip"), "can't be read"),
    ],
)
def test_what_can_not_be_done_is_one_line_and_changes_nothing(runs, monkeypatch, words, message):
    monkeypatch.chdir(runs)
    assert message in call("status", "--runs", runs, *words).one_line
    assert Studies(runs).names() == ["old", "other"]


# ---- killed at each step


def killed_at(step, deed):
    """Do it in a process that is killed in place of its change `step`; whether it was killed."""
    process = os.fork()
    if process == 0:
        left = [step]

        def audit(event, arguments):
            if event not in CHANGES or (
                event == "open" and not set("wxa+") & set(str(arguments[1]))
            ):
                return
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        sys.addaudithook(audit)
        try:
            deed()
        finally:
            os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


def steps(deed, prepare, check):
    """Kill a deed at each of its steps, each time in a fresh folder; return their number."""
    step = 0
    while killed_at(step, partial(deed, prepare(step))):
        check(step)
        step += 1
    return step


@pytest.fixture
def copies(runs, tmp_path_factory):
    """A function that makes a fresh copy of the folder for a step, and finds it again."""
    base = tmp_path_factory.mktemp("copies")

    def of(step):
        place = base / str(step)
        return place if place.exists() else shutil.copytree(runs, place)

    return of


@pytest.mark.process
def test_a_rename_that_is_killed_anywhere_leaves_whole_studies_and_is_done_by_the_next(
    runs, copies
):
    due = said(runs, "old")

    def check(step):
        place = copies(step)
        found = set(Studies(place).names()) - {"other", "new-confirm"}
        assert found and found <= {"old", "new"}
        assert said(place, "new" if "new" in found else "old") == due
        if "old" in found:
            shelving.rename(Studies(place), "old", "new")
        assert said(place, "new") == due
        assert Studies(place).names() in (["new", "other"], ["new", "old-confirm", "other"])

    assert steps(lambda place: shelving.rename(Studies(place), "old", "new"), copies, check) > 10


@pytest.mark.process
def test_a_delete_that_is_killed_anywhere_leaves_a_whole_study_or_none(runs, copies):
    due = Studies(runs).open("old").study.birth

    def check(step):
        place = copies(step)
        if "old" in Studies(place).names():
            assert Studies(place).open("old").study.birth == due
            shelving.delete(Studies(place), "old")
        assert Studies(place).names() == ["other"]

    assert steps(lambda place: shelving.delete(Studies(place), "old"), copies, check) > 3


@pytest.mark.process
def test_a_restore_that_is_killed_anywhere_leaves_nothing_or_all(runs, tmp_path_factory):
    base, due = tmp_path_factory.mktemp("restored"), said(runs, "old")
    archive.pack(Studies(runs), "old", str(base / "old.zip"), VERSIONS)

    def check(step):
        place = base / str(step)
        if "old" not in Studies(place).names():
            archive.restore(place, str(base / "old.zip"))
        assert said(place, "old") == due

    count = steps(
        lambda place: archive.restore(place, str(base / "old.zip")),
        lambda step: base / str(step),
        check,
    )
    assert count > 8


# ---- in a database, and in a journal of several


@pytest.fixture(
    scope="module", params=["sqlite:///{}/studies.db", "{}/shared.log"], ids=["database", "journal"]
)
def _storage(request, _folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("stored")
    for name in ("old", "old-confirm", "other"):
        place = base / "studies" / name / "trials" / "0000"
        place.mkdir(parents=True)
        (place / "weights.safetensors").write_bytes(name.encode())
        optuna.copy_study(
            from_study_name=name,
            from_storage=open_storage(None, _folder / "studies" / name),
            to_storage=open_storage(request.param.format(base), base),
        )
    return base, request.param


@pytest.fixture
def stored(_storage, tmp_path):
    """The same studies in one storage."""
    base, address = _storage
    place = shutil.copytree(base, tmp_path / "stored")
    return Studies.checked(place, address.format(place))


def test_studies_of_a_storage_are_listed_renamed_and_deleted(stored):
    assert stored.names() == ["old", "other"]
    before = summary_of(stored.open("old")).document()
    shelving.rename(stored, "old", "new")
    assert stored.names() == ["new", "other"]
    assert summary_of(stored.open("new")).document() == {**before, "study": "new"}
    assert stored.open("new").race is not None
    assert weights(stored.runs, "new") == b"old"
    with pytest.raises(InputError, match="there is a study other already"):
        shelving.rename(stored, "new", "other")
    assert set(shelving.delete(stored, "new")) == {"new", "new-confirm"}
    assert stored.names() == ["other"]
    assert not (stored.runs / "studies" / "new").exists()


def test_a_study_of_a_storage_is_packed_as_a_journal(stored, tmp_path):
    before = summary_of(stored.open("old")).document()
    archive.pack(stored, "old", str(tmp_path / "old.zip"), VERSIONS)
    archive.restore(tmp_path / "there", str(tmp_path / "old.zip"))
    found = Studies(tmp_path / "there").open("old")
    assert summary_of(found).document() == before
    assert found.race is not None


def test_a_name_that_a_deleted_study_of_a_journal_had_is_taken(stored):
    shelving.delete(stored, "other")
    if "://" in str(stored.storage):
        shelving.rename(stored, "old", "other")
        assert stored.names() == ["other"]
        return
    with pytest.raises(InputError, match="there is a study other already"):
        shelving.rename(stored, "old", "other")
    assert stored.names() == ["old"]


def test_a_driver_that_beats_in_a_database_runs(tmp_path):
    address = f"sqlite:///{tmp_path / 'studies.db'}"
    (tmp_path / "studies" / "s").mkdir(parents=True)
    study = study_at(tmp_path / "studies" / "s", storage=address, beat=60)
    trial = study.study.ask()
    studies = Studies.checked(tmp_path, address)
    assert not studies.open("s").running, "it was begun, and nobody has beaten for it"
    study.study._storage.inner._backend.record_heartbeat(trial._trial_id)
    assert studies.open("s").running
    with pytest.raises(InputError, match="by its signs of life in the database"):
        shelving.delete(studies, "s")


# ---- archives


@pytest.fixture
def packed(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "old.zip"
    assert call("status", "--runs", runs, "--study", "old", "--archive", path).code == 0
    return path


def test_a_restored_study_says_the_same_and_has_the_same_files(runs, packed, tmp_path_factory):
    there = tmp_path_factory.mktemp("there") / "mlruns"
    result = call("status", "--runs", there, "--restore", packed)
    assert result.code == 0, result.err
    assert "--sync" in result.out and f"--runs {there}" in result.out
    assert said(there, "old") == said(runs, "old")
    for name in ("old", "old-confirm"):
        for file in ("journal.log", "trials/0000/weights.safetensors"):
            before, after = (base / "studies" / name / file for base in (runs, there))
            assert before.read_bytes() == after.read_bytes()


def test_a_study_that_is_there_is_not_restored_over_it(runs, packed):
    line = call("status", "--runs", runs, "--restore", packed).one_line
    assert "there is a study old in" in line and "--rename old NEW" in line
    assert call("status", "--runs", runs, "--rename", "old", "mine").code == 0
    assert "is in" in call("status", "--runs", runs, "--restore", packed).one_line
    assert Studies(runs).names() == ["mine", "other"]


def test_an_archive_is_never_written_over(runs, packed):
    before = packed.read_bytes()
    again = call("status", "--runs", runs, "--study", "old", "--archive", packed)
    assert "must be a new file" in again.one_line
    assert packed.read_bytes() == before


def rewritten(packed, change):
    """Write the archive anew with other entries: name -> content, and its manifest."""
    with zipfile.ZipFile(packed) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(entries.pop("manifest.json"))
    change(manifest, entries)
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("manifest.json", json.dumps(manifest))
        for name, content in entries.items():
            file.writestr(name, content)


def _add(name):
    def change(manifest, entries):
        entries[name] = b"x"
        manifest["files"][name] = [1, "0" * 64]

    return change


def _byte(manifest, entries):
    name = "old/trials/0000/weights.safetensors"
    entries[name] = b"X" + entries[name][1:]


def _longer(manifest, entries):
    entries["old/trials/0000/weights.safetensors"] += b"more"


def _huge(manifest, entries):
    manifest["files"]["old/journal.log"][0] = 1 << 60


def _gone(manifest, entries):
    del entries["old/journal.log"]


def _renamed(manifest, entries):
    manifest["births"]["old"] = "0" * 32


def _format(manifest, entries):
    manifest["archive"] = 2


def _list(manifest, entries):
    manifest["files"] = [1]


def _pickle(manifest, entries):
    entries["old/journal.log"] = b"\x80\x04."
    manifest["files"]["old/journal.log"] = [3, "0" * 64]


STRANGE = {
    **{name: _add(name) for name in ("../evil", "/etc/evil", "old/../../evil", "old/trials/x")},
    **{name: _add(name) for name in ("third/journal.log", "old/trials/0000/a.sh", "C:\\evil")},
    "a byte": _byte,
    "more bytes": _longer,
    "huge": _huge,
    "a missing file": _gone,
    "another study": _renamed,
    "a later format": _format,
    "no mapping": _list,
    "a pickle": _pickle,
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_an_archive_that_was_changed_is_refused_as_a_whole(packed, tmp_path_factory, change):
    rewritten(packed, change)
    there = tmp_path_factory.mktemp("there")
    line = call("status", "--runs", there / "mlruns", "--restore", packed).one_line
    assert line.startswith("status: --restore") and len(line) < 300
    assert [path.name for path in there.rglob("*") if path.is_file()] in ([], ["lock"])
    assert not (there / "mlruns" / "studies" / "old").exists()


@pytest.mark.parametrize("cut", [0, 10, 2000])
def test_an_archive_that_was_cut_is_one_line(packed, tmp_path_factory, cut):
    packed.write_bytes(packed.read_bytes()[:cut])
    there = tmp_path_factory.mktemp("there")
    assert "is damaged" in call("status", "--runs", there, "--restore", packed).one_line


def test_a_link_in_an_archive_is_no_link_where_it_is_restored(packed, tmp_path_factory):
    name = "old/trials/0001/weights.safetensors"
    rewritten(packed, _add(name))
    with zipfile.ZipFile(packed, "a") as file:
        link = zipfile.ZipInfo(name)
        link.external_attr = 0o120777 << 16
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr(link, "/etc/passwd")
    there = tmp_path_factory.mktemp("there")
    assert "is damaged" in call("status", "--runs", there, "--restore", packed).one_line


# ---- in MLflow


def test_mlflow_follows_a_rename_and_a_deletion(runs, monkeypatch):
    assert call("search", "--study", "old", "--runs", runs, "--sync").code == 0
    before = {number: run.data.metrics for number, run in shown(runs, "old")[0].items()}
    assert call("status", "--runs", runs, "--rename", "old", "new").err == ""
    after, _ = shown(runs, "new")
    assert {number: run.data.metrics for number, run in after.items()} == before
    for run in after.values():
        place = runs / "artifacts" / "new" / run.info.run_id / "artifacts" / "config.yaml"
        assert run.info.artifact_uri == place.parent.as_uri() and place.exists()
    assert "MLflow: deleted new" in call("status", "--runs", runs, "--delete", "new", "--yes").out
    from pipeline.tracking.uri import connect

    client = connect(f"sqlite:///{runs / 'mlflow.db'}")
    assert client.get_experiment_by_name("new").lifecycle_stage == "deleted"


def test_mlflow_that_is_away_is_a_line_and_the_study_has_its_name(runs, capsys):
    shelf = Shelf(Studies(runs), "http://127.0.0.1:9")
    shelf.rename("old", "new")
    assert capsys.readouterr().err.startswith("MLflow lags behind (")
    assert Studies(runs).names() == ["new", "other"]
