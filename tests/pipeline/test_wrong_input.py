"""Each mistake that a user can make: one line, status 2, before any worker starts.

Four of them, of four kinds, are typed as a user types them; the others run in this process.
"""

import fcntl
import shutil

import pytest
from PIL import Image

from tests.support.processes import call, run
from tests.support.studies import search_arguments

SPACE = "loss: regmix\nfixed: {gamma: 0}\nsearch:\n  alpha: {float: [0.5, 20], log: true}\n"


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--space", "wmar"], "unknown space 'wmar'; did you mean 'wamr'?"),
        (["--recipe", "digit"], "unknown recipe 'digit'; did you mean 'digits'?"),
        (["--set", "epoch=3"], "--set: unknown parameter 'epoch'; did you mean 'epochs'?"),
        (["--set", "epochs"], "--set: must be KEY=VALUE, but is 'epochs'"),
        (["--set", "epochs=3", "epochs=4"], "--set: epochs is given twice"),
        (["--set", "epochs=0"], "--set: epochs must be at least 1, but is '0'"),
        (["--set", "epochs=2.5"], "--set: epochs must be a whole number, but is '2.5'"),
        (
            ["--set", "epochs=two"],
            "epochs must be a whole number, but is 'two'; write one such as 20",
        ),
        (["--set", "lr=fast"], "--set: lr must be a number, but is 'fast'"),
        (["--set", "lr=nan"], "--set: lr must be above 0, but is 'nan'"),
        (["--set", "eval_epsilon=8"], "--set: eval_epsilon must lie in (0, 1], but is '8'"),
        (["--set", "schedule=cosin"], "--set: schedule must be one of multistep, cosine"),
        (["--set", "model=resnet"], "--set: unknown model 'resnet'; did you mean 'resnet18'?"),
        (["--set", "alpha=3"], "--set: alpha is decided by the space 'wamr'"),
        (["--set", "loss=mse"], "--set: loss is decided by the space 'wamr'"),
        (["--set", "valid_images=1397"], "valid_images + train_images must fit into 1397"),
        (["--set", "finalist_images=1397"], "finalist_images + train_images must fit into 1397"),
        (["--set", "finalist_images=399"], "--set: finalist_images must be at least valid_images"),
        (["--set", "judged_images=401"], "--set: judged_images must lie between valid_images"),
        (["wamr"], "takes no word 'wamr' here; did you mean --space wamr?"),
        (["digits"], "takes no word 'digits' here; did you mean --recipe digits?"),
        (["epochs=20"], "takes no word 'epochs=20' here; did you mean --set epochs=20?"),
        (["fast"], "takes no word 'fast' here; leave it out, or name its option"),
        (["--trails", "5"], "unknown option '--trails'; did you mean '--trials'?"),
        (["--trials", "five"], "--trials must be a whole number, but is 'five'"),
        (["--trials", "0"], "--trials must be at least 1, but is '0'"),
        (["--trials"], "expected one argument"),
        (["--budget", "30"], "--budget must be a time such as 90s, 30m or 2h, but is '30'"),
        (["--set", "attack=focal"], "unknown attack 'focal'; one of your own needs --plugins"),
        (["--sampler", "tpa"], "unknown sampler 'tpa'; did you mean 'tpe'?"),
        (["--pruner", "halfing"], "unknown pruner 'halfing'; did you mean 'halving'?"),
        (["--pruner", "halving+none"], "halving goes round no other pruner; put it last"),
        (["--control-every", "-1"], "--control-every must be at least 0, but is '-1'"),
        (["--min-clean", "80"], "--min-clean must lie in [0, 1], but is '80'"),
        (["--objective", "clean"], "unknown objective 'clean'"),
        (["--objective", "robust,clean", "--sampler", "cmaes"], "cmaes seeks one objective"),
        (["--deterministic", "0"], "--deterministic must be at least 1, but is '0'"),
        (["--deterministic", "--budget", "9m"], "--deterministic can't end by the clock"),
        (["--heartbeat", "1"], "--heartbeat must be a time such as 90s, 30m or 2h, but is '1'"),
        (["--checkpoint-every", "1"], "--checkpoint-every must be a time such as 90s, 30m or"),
        (["--enqueue", "no.yaml"], "no.yaml: can't be read"),
        (["--study", "../x"], "--study: must be letters, digits"),
        (["--seed", "-1"], "--seed must lie in [0, 9.22337e+18], but is"),
        (["--gpus-per-trial", "0"], "--gpus-per-trial must be above 0"),
        (["--gpus-per-trial", "some"], "--gpus-per-trial must be a"),
        (["--data-dir", "images"], "the data set 'digits' needs none"),
        (["--storage", "sqlite:////nowhere/at/all.db"], "can't be opened (unable to open"),
        (["--storage", "nosuch://x:secret@y/z"], "--storage nosuch://x:***@y/z: can't be opened"),
        (["--storage", "/nowhere/journal.log"], "no such folder; make /nowhere first"),
        (["--tracking-uri", "mlruns"], "--tracking-uri: must be sqlite:///FILE"),
        (["--address", "127.0.0.1:9"], "no Ray cluster answers ([Errno 111]"),
        (["--tracking-uri", "http://127.0.0.1:9"], "no MLflow server answers"),
    ],
)
def test_an_option_that_is_wrong(tmp_path, arguments, expected):
    given = ["--recipe", "digits", "--runs", tmp_path / "runs", *arguments]
    assert expected in call("search", *given).one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SPACE + "  alpha: {float: [1, 2]}\n", "line 5: key 'alpha' comes twice; remove one"),
        (SPACE.replace("[0.5, 20]", "[20, 0.5]"), "must have its lower bound first"),
        (SPACE.replace("[0.5, 20]", "[0, 20]"), "log: true needs bounds above 0"),
        (SPACE.replace("[0.5, 20]", "[a, 20]"), "must have numbers for bounds, but has 'a'"),
        (SPACE.replace("[0.5, 20]", "[0.5]"), "float must be [lower, upper], but is [0.5]"),
        (SPACE.replace("float", "flaot"), "unknown key 'flaot'; did you mean 'float'?"),
        (SPACE.replace("alpha", "alhpa"), "unknown parameter 'alhpa'; did you mean 'alpha'?"),
        (SPACE.replace("[0.5, 20], log: true", "[-1, 20]"), "alpha must be at least 0"),
        (SPACE.replace("alpha", "eval_epsilon"), "eval_epsilon belongs to the task"),
        (SPACE.replace("alpha", "gamma"), "gamma is both fixed and searched"),
        (SPACE.replace("loss: regmix", "loss: regmx"), "unknown loss 'regmx'"),
        (SPACE.replace("fixed:", "fixd:"), "unknown key 'fixd'; did you mean 'fixed'?"),
        (SPACE.replace("gamma: 0", "gamma: x"), "gamma must be a number, but is 'x'"),
        ("search: [\n", "line 2"),
        ("- 1\n", "must be a mapping of names to values"),
        ("loss: regmix\n", "search must name at least one parameter"),
        ("search: {alpha: {choice: [1, 1]}}\n", "choice needs at least 2 different values"),
        ("search: !!python/object/apply:os.system ['true']\n", "tags are not read, leave it out"),
    ],
)
def test_a_space_that_is_wrong(tmp_path, text, expected):
    space = write(tmp_path / "mine.yaml", text)
    given = ["--space", space, "--recipe", "digits", "--runs", tmp_path / "runs"]
    line = call("search", *given).one_line
    assert expected in line
    assert str(space) in line


@pytest.mark.parametrize(
    ("script", "words"), [("evaluate", []), ("train", []), ("attack", []), ("export", ["--file"])]
)
def test_a_space_in_place_of_an_exported_file_is_called_so(tmp_path, script, words):
    space = write(tmp_path / "mine.yaml", SPACE)
    form = ("--format", "hub") if script == "export" else ()
    line = call(script, *words, space, *form).one_line
    assert f"{space}: is a search space; give a file that export.py or train.py wrote" in line
    other = write(tmp_path / "other.yaml", "epochs: 3\n")
    assert "is no exported configuration" in call(script, *words, other, *form).one_line


def test_an_exported_file_in_place_of_a_space_is_called_so(tmp_path):
    exported = write(tmp_path / "mine.yaml", "origin: {}\nconfig: {loss: plain}\n")
    line = call("search", "--recipe", "digits", "--runs", tmp_path, "--space", exported).one_line
    assert "is an exported configuration and no search space" in line and "--enqueue" in line


def folder(root, parts=("train", "test"), classes=10, size=8):
    for part in parts:
        for label in range(classes):
            place = root / part / f"class{label}"
            place.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (size, size), (label, number, 0)).save(place / f"{number}.png")
    return root


def test_a_data_folder_that_is_missing_or_damaged(tmp_path):
    def line(data):
        arguments = ["--recipe", "cifar10", "--runs", tmp_path / "runs", "--data-dir", data]
        return call("search", *arguments, "--set", "valid_images=10").one_line

    assert "no such folder" in line(tmp_path / "nowhere")
    assert f"{tmp_path}/half/test: no such folder" in line(folder(tmp_path / "half", ("train",)))
    damaged = folder(tmp_path / "damaged")
    (damaged / "train" / "class3" / "2.png").write_bytes(b"\x89PNG no more")
    assert f"{damaged}/train/class3/2.png: not a readable image" in line(damaged)
    few = folder(tmp_path / "few", classes=3)
    assert "must have 10 classes, but has 3" in line(few)
    assert not list((tmp_path / "runs").glob("studies/*/trials"))


def test_a_file_that_is_no_storage_stays_as_it_was(tmp_path):
    storage = write(tmp_path / "letter.txt", "Dear reader,\nthis is no journal.\n")
    arguments = ["--recipe", "digits", "--runs", tmp_path / "runs", "--storage", storage]
    assert "is no Optuna journal or is damaged" in call("search", *arguments).one_line
    database = write(tmp_path / "letter.db", "Dear reader, this is no database either. " * 40)
    arguments[-1] = f"sqlite:///{database}"
    assert "can't be opened (file is not a database)" in call("search", *arguments).one_line
    arguments[-2:] = ["--tracking-uri", f"sqlite:///{database}"]
    assert "can't be opened (file is not a database)" in call("search", *arguments).one_line
    assert storage.read_text().startswith("Dear reader") and "either" in database.read_text()


def test_a_study_that_another_process_is_running(tmp_path):
    place = tmp_path / "studies" / "wamr-digits"
    place.mkdir(parents=True)
    with open(place / "lock", "w") as lock:
        lock.write("process 123 on here")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = call("search", *search_arguments(tmp_path)).one_line
    assert "--study wamr-digits: process 123 on here is running it; wait for its end" in line
    assert not (place / "journal.log").exists()


def test_another_question_under_an_old_name_is_refused_by_naming_what_differs(searched):
    journal = searched / "studies" / "wamr-digits" / "journal.log"
    before = journal.read_bytes()
    changed = call("search", *search_arguments(searched, trials=8), "lr=0.05")
    assert "was begun with another problem (lr was 0.2 and is 0.05)" in changed.one_line
    other = call("search", *search_arguments(searched, "--space", "agr", "--study", "wamr-digits"))
    assert "space was wamr and is agr" in other.one_line
    assert journal.read_bytes() == before


def test_a_place_that_is_no_folder(tmp_path):
    file = write(tmp_path / "file", "")
    line = call("search", "--recipe", "digits", "--runs", file / "runs").one_line
    assert "must be a folder that can be written to" in line


@pytest.mark.process
def test_a_folder_for_temporary_files_whose_name_is_too_long_for_ray(tmp_path):
    place = tmp_path / ("long" * 20)
    place.mkdir()
    variables = {"TMPDIR": str(place)}
    result = run("search", *search_arguments(tmp_path), environment=variables, cold=True)
    assert f"at most 107 bytes, but is {place}; set RAY_TMPDIR=/tmp" in result.one_line


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("search", ["--trails", "5"], "unknown option '--trails'; did you mean '--trials'?"),
        ("search", ["--space", "{folder}/mine.yaml"], "mine.yaml, line 2"),
        ("export", ["--study", "x", "--runs", "{folder}"], "unknown study 'x'; there are: (none"),
        ("evaluate", ["{folder}/none.yaml"], "none.yaml: can't be read (No such file"),
    ],
)
@pytest.mark.process
def test_as_a_process_too_a_mistake_is_one_line(tmp_path, script, arguments, expected):
    write(tmp_path / "mine.yaml", "search: [\n")
    typed = [word.format(folder=tmp_path) for word in arguments]
    assert expected in run(script, *typed, cwd=tmp_path, cold=True).one_line


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        (
            "export",
            ["--study", "wamr-digit"],
            "unknown study 'wamr-digit'; did you mean 'wamr-digits'",
        ),
        ("export", ["--study", "wamr-digits", "--top", "x"], "--top must be a whole number"),
        ("export", [], "command line: give either --study or --file; see --help"),
    ],
)
def test_an_export_that_is_wrong(finished, tmp_path, script, arguments, expected):
    result = call(script, *arguments, "--runs", finished[0], "--out", tmp_path / "out")
    assert expected in result.one_line


def test_a_configuration_file_that_is_wrong(finished, tmp_path):
    known = ("--study", "wamr-digits", "--runs", finished[0])
    assert call("export", *known, "--out", tmp_path).code == 0
    good = tmp_path / "wamr-digits-1.yaml"

    def line(script, change):
        shutil.copy(good, tmp_path / "changed.yaml")
        text = good.read_text()
        assert change[0] in text
        (tmp_path / "changed.yaml").write_text(text.replace(*change))
        return call(script, tmp_path / "changed.yaml").one_line

    assert "can't be read (No such file" in call("train", tmp_path / "none.yaml").one_line
    assert "unknown key 'orgin'" in line("train", ("origin:", "orgin:"))
    assert "unknown parameter 'epoch'; did you mean 'epochs'" in line(
        "train", ("  epochs:", "  epoch:")
    )
    assert "trained on other images" in line("train", ("fingerprint: ", "fingerprint: 0"))
    assert "is not the file that changed.yaml names" in line("evaluate", ("sha256: ", "sha256: 0"))
    assert "weights: unknown key 'fil'; did you mean 'file'?" in line(
        "evaluate", ("  file:", "  fil:")
    )
    (tmp_path / "wamr-digits-2.safetensors").unlink()
    assert "the weights are missing" in call("evaluate", tmp_path / "wamr-digits-2.yaml").one_line
