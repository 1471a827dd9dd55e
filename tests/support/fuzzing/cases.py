"""The kinds of input that are generated; each case follows from its random numbers alone."""

import os
from dataclasses import dataclass, field

from pipeline import pruners, samplers
from regmix.config import options_of
from tests.support.fuzzing import data
from tests.support.fuzzing.base import STUDY
from tests.support.fuzzing.files import COMPONENTS, RECIPE, changed, space, write
from tests.support.fuzzing.values import damaged, flipped, word


@dataclass
class Case:
    """A command with its words and variables.

    command: such as 'search'.
    words: what is typed after it.
    variables: environment variables that are set.
    cold: whether a new Python runs it, since it reads these variables as it starts.
    """

    command: str
    words: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    cold: bool = False


def _search(folder, *more, recipe=None):
    """A search of a second on digits, which all of these begin from."""
    import yaml

    if recipe is None:
        recipe = folder / "task.yaml"
        recipe.write_text(yaml.safe_dump(RECIPE))
    return Case(
        "search", ["--recipe", str(recipe), "--runs", str(folder / "runs"), *map(str, more)]
    )


def spaces(chance, folder, base):  # noqa: ARG001
    content = changed(chance, space(chance), chance.choice([0] * 5 + [1, 2]))
    name = chance.choice(["mine"] * 15 + ["é💥", "x" * 240, "a b", "-", "$(id)"])
    mistakes = chance.choice([0] * 5 + [1, 2])
    path = write(chance, folder / f"{name}.yaml", content, mistakes)
    more = ["--study", "s"] if chance.random() < 0.7 else []
    return _search(folder, f"--space={path}", *more, "--sampler", chance.choice(samplers.names()))


def recipes(chance, folder, base):  # noqa: ARG001
    content = changed(chance, RECIPE, chance.choice([0, 1, 1, 2]))
    path = write(chance, folder / "task.yaml", content, chance.choice([0, 0, 1, 2]))
    return _search(folder, "--space", chance.choice(["wamr", "mse", "plain"]), recipe=path)


VALUES = {
    "--space": ["wamr", "agr", "wmar", "no.yaml", "/dev/zero", "/dev/tty", "."],
    "--recipe": ["digits", "digit", "no.yml", ".yaml"],
    "--trials": ["1", "0", "-1", "2.5", "1e3", "1e19", "many"],
    "--budget": ["90s", "30m", "2h", "0s", "-1s", "1d", "1e9h", "9" * 400 + "h", "٣s"],
    "--seed": ["0", "-1", "1e30", str(2**63 - 1), str(2**63)],
    "--study": ["s", "../x", "a b", ".", "-", "x" * 101, "é", "con\n"],
    "--concurrency": ["1", "0", "9999", "1e9"],
    "--gpus-per-trial": ["0", "0.25", "1e308", "-1"],
    "--sampler": ["bohb", "tpe", "gp", "cmaes", "qmc", "grid", "random", "tpa"],
    "--pruner": ["collapse+halving", "none", "halving+none", "patient+median", "+", "a+b",
    "hyperband"],
    "--objective": ["robust", "robust,clean", "clean", ","],
    "--min-clean": ["0.8", "80", "-0", "nan"],
    "--storage": ["sqlite://", "sqlite:///no/where.db", "/proc/nowhere/x", "a.log",
    "nosuch://u:p@h/d", ".",
                  "/dev/null", "sqlite:///a.db", "postgresql://u:p@127.0.0.1:9/d", "://",
                  "mysql://h"],
    "--checkpoints": ["s3://b/p", "s3://", "file:///x", "x", "s3://b?endpoint=127.0.0.1:9"],
    "--heartbeat": ["60s", "0s", "9" * 30 + "h", "1"],
    "--checkpoint-every": ["60s", "0s", "0.5s", "-1s", "9" * 30 + "h", "1"],
    "--tracking-uri": ["sqlite:///x.db", "sqlite://", "http://127.0.0.1:9", "http://", "file:///x",
                       "ftp://h/x", "mlruns", "http://u:p@127.0.0.1:9", "http://[::1",
                       "sqlite:///"],
    "--data-dir": ["images", "/dev/null", "/proc"],
    "--plugins": ["none", "/dev/null", "/proc/1", "."],
    "--address": ["auto", "127.0.0.1:9", "127.0.0.1", "ray://127.0.0.1:9", "x:y", ":", "[::1]:1"],
    "--runs": ["runs", "/dev/null", "/proc/x", "/proc/self/mem", "a/b/c", "x" * 300, "a?b#c%41"],
    "--control-every": ["0", "1", "-1", "x"],
    "--deterministic": ["1", "4", "0", "1e6", "x"],
    "--set": ["epochs=2", "lr=nan", "width=0", "alpha=1", "data_dir=", "=", "x", "epochs=1e18"],
    "--enqueue": ["no.yaml", "/dev/zero", "."],
}  # fmt: skip
FLAGS = ["--help", "--sync", "--retry-failed", "--trails", "-x", "--", "-", "--deterministic"]


def options(chance, folder, base):  # noqa: ARG001
    words = _words(chance, VALUES, FLAGS, chance.choice([1, 1, 2, 3]))
    case = _search(folder)
    return Case("search", [*case.words, *words])


def _words(chance, values, flags, count):
    words = []
    for _ in range(count):
        if chance.random() < 0.1:
            words.append(chance.choice([*flags, word(chance)]))
            continue
        option = chance.choice(sorted(values))
        value = chance.choice(values[option]) if chance.random() < 0.75 else word(chance)
        words += [f"{option}={value}"] if chance.random() < 0.3 else [option, value]
    return words


GOOD = {"width": ["8", "16"], "lr": ["0.1", "1e-3"], "epochs": ["2", "3"], "schedule": ["linear"],
        "batch_size": ["32", "7", "1"], "clip_norm": ["none", "1"], "augment": ["crop_flip"],
        "valid_images": ["50", "500"], "train_images": ["none", "500"], "attack": ["pgd", "n_fgsm"],
        "model": ["resnet18", "small_cnn"], "eval_steps": ["1", "20"],
        "precision": ["bf16"]}  # fmt: skip


def settings(chance, folder, base):  # noqa: ARG001
    known = sorted(options_of(COMPONENTS)) + sorted(COMPONENTS)
    words = []
    for _ in range(chance.choice([1, 1, 2, 4])):
        name = chance.choice(known if chance.random() < 0.5 else sorted(GOOD))
        name = flipped(chance, name).replace("\0", "") if chance.random() < 0.1 else name
        good = chance.random() < 0.6 and name in GOOD
        words.append(f"{name}={chance.choice(GOOD[name]) if good else word(chance)}")
    return _search(folder, "--study", "s", "--set", *words)


FILE_FLAGS = ["--autoattack", "--again", "--validation", "--best"]
FILE_VALUES = {"--images": ["1", "0", "1e9", "x"], "--data-dir": ["x"], "--plugins": ["x", "."]}


def exported(chance, folder, base):
    import yaml

    path = base.copy(folder)
    content = yaml.safe_load(path.read_text())
    content = changed(chance, content, chance.choice([0, 0, 1, 1, 1, 2]))
    if chance.random() < 0.15:
        key = chance.choice(["weights", "best_weights"])
        name = chance.choice([".", "..", "../x", "/dev/zero", "/etc/passwd", "", "pipe", "x" * 300])
        content[key] = {"file": name, "sha256": "0" * 64}
    if chance.random() < 0.1:
        os.mkfifo(folder / "pipe")
    write(chance, path, content, chance.choice([0] * 7 + [1, 2]))
    weights = path.with_suffix(".safetensors")
    if chance.random() < 0.1:
        weights.write_bytes(damaged(chance, weights.read_bytes()))
    command = chance.choice(["evaluate", "evaluate", "train", "search"])
    if command == "search":
        return _search(folder, "--study", "s", "--enqueue", path)
    words = [str(path)]
    if command == "evaluate":
        if chance.random() < 0.7:
            path.with_suffix(".judgement.yaml").unlink()
        words += [flag for flag in FILE_FLAGS if chance.random() < 0.15]
        words += _words(chance, FILE_VALUES, [], 1) if chance.random() < 0.15 else []
    else:
        seeds = (
            ["--seeds", chance.choice(["1", "-1", "x", "1e30"])] if chance.random() < 0.2 else []
        )
        words += seeds + (["--out", word(chance)] if chance.random() < 0.1 else [])
    return Case(command, words)


def judgements(chance, folder, base):
    import yaml

    path = base.copy(folder)
    kept = path.with_suffix(".judgement.yaml")
    content = changed(chance, yaml.safe_load(kept.read_text()), chance.choice([0, 1, 1, 2]))
    write(chance, kept, content, chance.choice([0, 0, 1, 2]))
    return Case("evaluate", [str(path)])


def _with_data(chance, folder, kind, place):
    import yaml

    recipe = folder / "task.yaml"
    few = {"data": kind, "valid_images": 6, "train_images": None, "batch_size": 8}
    recipe.write_text(yaml.safe_dump({**RECIPE, **few}))
    more = ["--set", "normalization=data"] if chance.random() < 0.2 else []
    return _search(folder, "--study", "s", "--data-dir", place, *more, recipe=recipe)


def arrays(chance, folder, base):  # noqa: ARG001
    data.npz(chance, folder / "mine.npz")
    return _with_data(chance, folder, "npz", folder / chance.choice(["mine.npz", "mine.npz", "."]))


def pictures(chance, folder, base):  # noqa: ARG001
    data.images(chance, folder / "images")
    kind = chance.choice(["image_folder", "image_folder", "image_folder", "cifar10"])
    return _with_data(chance, folder, kind, folder / "images")


def plugins(chance, folder, base):  # noqa: ARG001
    name = data.plugins(chance, folder / "mine")
    (folder / "space.yaml").write_text(f"loss: {name}\nsearch: {{focus: {{float: [0.1, 5]}}}}\n")
    more = ["--space", folder / "space.yaml"]
    if (folder / "mine" / "samplers").is_dir() and chance.random() < 0.7:
        more = ["--sampler", name]
    return _search(folder, "--study", "s", "--plugins", folder / "mine", *more)


STUDY_VALUES = {
    "--study": [STUDY, STUDY, STUDY, "no", "../x", "."], "--top": ["1", "2", "99", "0", "x", "1e9"],
    "--out": ["out", "/dev/null", "/proc/x"], "--plugins": ["x", "."],
    "--seeds": ["1", "3", "0", "x"], "--data-dir": ["x"], "--concurrency": ["1", "x"],
    "--storage": ["x.log", "sqlite:///no.db", "/dev/null"],
    "--tracking-uri": ["sqlite:///x.db", "x"],
}  # fmt: skip


def studies(chance, folder, base):
    import shutil

    command = chance.choice(["export", "export", "confirm", "confirm", "search", "ui"])
    runs = shutil.copytree(base.runs, folder / "runs")
    journal = runs / "studies" / STUDY / "journal.log"
    if chance.random() < 0.25:
        journal.write_bytes(damaged(chance, journal.read_bytes()))
    words = ["--runs", str(runs)]
    if command == "search":
        return Case("search", [*words, "--sync", "--study", STUDY])
    if command == "ui":
        (runs / "mlflow.db").write_bytes(damaged(chance, b"SQLite format 3\0" * 100))
        return Case(
            "ui", [*words, *_words(chance, {"--port": ["0", "1", "99999", "x", "5000"]}, [], 1)]
        )
    own = STUDY_VALUES if command == "confirm" else {k: STUDY_VALUES[k] for k in EXPORT}
    return Case(
        command,
        [*words, "--study", STUDY, *_words(chance, own, ["--help"], chance.choice([0, 1, 2]))],
    )


EXPORT = ("--study", "--top", "--out", "--plugins", "--storage")
WARM = {
    "HOME": ["/proc/nowhere", "/dev/null", "", "relative"], "TMPDIR": ["/proc/nowhere", "/dev/null",
    "/proc", "", "x"],
    "RAY_TMPDIR": ["/proc/nowhere", "/dev/null", "x" * 120, ""], "COLUMNS": ["0", "-1", "junk", "1",
    "9" * 30],
    "NO_COLOR": ["1", ""], "TERM": ["dumb", "", "junk"], "OMP_NUM_THREADS": ["junk", "0", "-1",
    "9" * 30],
    "CUDA_VISIBLE_DEVICES": ["junk", "-1", "99"], "MLFLOW_TRACKING_URI": ["junk",
    "http://127.0.0.1:9"],
    "PYTHONPATH": ["/proc/nowhere", ":::", "\n"], "RAY_ADDRESS": ["127.0.0.1:9", "junk"],
    "LINES": ["-1", "x"],
    "REGMIX_X": ["x"], "MLFLOW_HTTP_REQUEST_TIMEOUT": ["x"], "OPTUNA_STORAGE": ["junk"],
    "TZ": ["junk"],
    "RAY_AUTH_MODE": ["junk"], "AWS_PROFILE": ["junk"], "XDG_CACHE_HOME": ["/dev/null"],
    "http_proxy": ["junk", "http://127.0.0.1:9"], "CUDA_HOME": ["x"],
}  # fmt: skip
COLD = {
    "LC_ALL": ["C", "POSIX", "junk", "tr_TR.UTF-8"], "LANG": ["C", ""], "PYTHONUTF8": ["0", "1"],
    "PYTHONIOENCODING": ["ascii", "latin-1", "utf-8:strict", "utf-16"],
    "PYTHONWARNINGS": ["always"],
    "PYTHONOPTIMIZE": ["1", "2"], "PYTHONDONTWRITEBYTECODE": ["1"], "PYTHONUNBUFFERED": ["1"],
    "PYTHONCOERCECLOCALE": ["0"], "PYTHONDEVMODE": ["1"], **WARM,
}  # fmt: skip


def variables(chance, folder, base):  # noqa: ARG001
    chosen = chance.sample(sorted(WARM), chance.choice([1, 1, 2, 3]))
    case = _search(folder, "--study", "s")
    return Case("search", case.words, {name: chance.choice(WARM[name]) for name in chosen})


def starts(chance, folder, base):
    """Variables that Python reads as it starts: commands that end without a cut."""
    chosen = chance.sample(sorted(COLD), chance.choice([1, 2, 3]))
    known = {name: chance.choice(COLD[name]) for name in chosen}
    command, words = chance.choice([
        ("search", ["--help"]), ("search", ["--set", "lr=é💥"]), ("search", ["--space", "日本"]),
        ("evaluate", [str(base.copy(folder))]), ("export", ["--study", "no", "--runs",
        str(folder)]),
    ])  # fmt: skip
    return Case(command, words, known, cold=True)


KINDS = {
    spaces: 22, recipes: 12, options: 14, settings: 12, exported: 14, judgements: 4, arrays: 5,
    pictures: 5, plugins: 6, studies: 4, variables: 3, starts: 1,
}  # fmt: skip
"""Kind -> how many of a hundred cases."""
assert set(pruners.names())
