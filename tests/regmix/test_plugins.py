"""Plug-ins: read from a folder, carried as texts, installed where nobody sees the folder."""

import hashlib
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import regmix
from regmix import plugins, registry
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.plugins import Plugins, check_digests
from regmix.signature import Contract
from tests.support.plugin_folders import own_registry, written

LOSS = '''\
"""Half of the cross-entropy."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.ranges import NonNegative
from regmix_plugins.losses._shared import scaled


def mine(
    final: Tensor,
    initial: Tensor,
    clean: Tensor | None,
    target: Tensor,
    *,
    scale: NonNegative = 0.5,
) -> Tensor:
    return scaled(F.cross_entropy(final, target), scale)


def inputs(*, scale: float) -> LossInputs:
    return LossInputs(initial=False, clean=False)
'''
SHARED = "def scaled(loss, scale):\n    return scale * loss\n"
MODEL = """\
from regmix.ranges import Count
from regmix_plugins.models.base import linear


def deep(channels, classes, *, layers: Count = 1):
    return linear(channels, classes)
"""
BASE = """\
from torch import nn


def base(channels, classes):
    return linear(channels, classes)


def linear(channels, classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
"""
FILES = {
    "losses/mine.py": LOSS,
    "losses/_shared.py": SHARED,
    "models/deep.py": MODEL,
    "models/base.py": BASE,
    "pruners/never.py": "def never(epochs): ...\n",
}


@pytest.fixture(autouse=True)
def _own_registry():
    with own_registry(registry.KINDS):  # other tests may have added more
        yield


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "own", FILES)


def refusal(function, *given, **named):
    with pytest.raises(InputError) as told:
        function(*given, **named)
    message = str(told.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


def test_reading_takes_the_texts_of_the_known_folders_and_nothing_else(folder):
    written(
        folder,
        {
            "losses/__init__.py": "",
            "losses/.#mine.py": "an editor's",
            "losses/notes.txt": "words",
            "losses/__pycache__/mine.cpython-311.pyc": "",
            "other/thing.py": "not ours",
            "top.py": "not ours",
        },
    )
    read = Plugins.read(folder)
    assert read == Plugins(FILES, str(folder))
    assert read.digests == {
        path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in FILES
    }


def test_reading_and_installing_executes_nothing(tmp_path):
    files = {"losses/mine.py": "raise SystemExit(9)\n" + LOSS}
    plugins.install(Plugins.read(written(tmp_path, files)))
    assert "mine" in registry.names("loss")
    assert registry.options("loss", "mine")["scale"].default == 0.5
    assert not [name for name in sys.modules if name.startswith("regmix_plugins")]


def test_an_installed_variant_is_found_among_the_tools_own(folder):
    before = {kind: registry.names(kind) for kind in registry.KINDS}
    plugins.install(Plugins.read(folder))
    assert set(registry.names("loss")) == {*before["loss"], "mine"}  # and not _shared
    assert set(registry.names("model")) == {*before["model"], "deep", "base"}
    assert (registry.names("attack"), registry.names("data")) == (before["attack"], before["data"])
    assert registry.find("loss", "mine").__module__ == "regmix_plugins.losses.mine"
    assert registry.companion("loss", "mine")(scale=1.0) == (False, False)


def test_a_run_trains_with_a_loss_and_a_model_from_outside(folder, build):
    (plain,) = build(epochs=1, loss="plain").epochs()
    plugins.install(Plugins.read(folder))
    (half,) = build(epochs=1, loss="mine", lr=0.2).epochs()
    assert half.train_final == plain.train_final  # twice the step along half of the gradient
    assert half.train_loss == pytest.approx(plain.train_loss / 2, rel=1e-3)
    changed = {"model": "deep", "width": None}
    flat = {k: v for k, v in build().config.flat().items() if k not in changed}
    config = TrainConfig.from_flat({**flat, "model": "deep", "layers": 2})
    assert config.model.options == {"layers": 2}
    assert TrainConfig.from_flat(config.flat()) == config
    with pytest.raises(InputError, match="must be at least 1"):
        TrainConfig.from_flat({**flat, "model": "deep", "layers": 0})


@pytest.mark.process
def test_plugins_reach_a_process_that_cannot_see_their_folder(folder, tmp_path):
    packed = tmp_path / "packed"
    packed.write_bytes(pickle.dumps(Plugins.read(folder)))
    folder.rename(tmp_path / "away")
    program = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from regmix import plugins, registry\n"
        "from regmix.config import TrainConfig\n"
        f"plugins.install(pickle.loads(Path({str(packed)!r}).read_bytes()))\n"
        "config = TrainConfig.from_flat({'data': 'digits', 'model': 'deep', 'attack': 'fgsm',"
        " 'loss': 'mine', 'scale': 3})\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "import torch\n"
        "loss = registry.find('loss', config.loss.name, config.loss.options)\n"
        "logits, target = torch.zeros(2, 4), torch.full((2, 4), 0.25)\n"
        "print(round(loss(logits, logits, None, target).item(), 4))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(regmix.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("4.1589\n", "")  # 3 log 4


def test_the_same_plugins_may_be_installed_again_but_no_others(folder):
    read = Plugins.read(folder)
    plugins.install(read)
    first = registry.find("loss", "mine")
    plugins.install(Plugins(dict(read.sources), "/elsewhere"))
    assert registry.find("loss", "mine") is first
    other = Plugins({**read.sources, "losses/mine.py": LOSS + "\n"}, str(folder))
    assert "start Python anew" in refusal(plugins.install, other)
    assert registry.find("loss", "mine") is first


def test_a_kind_of_another_package_takes_plugins_whenever_it_is_added(folder, tmp_path):
    own = written(tmp_path / "tool", {"pruners/halving.py": "def halving(epochs): ..."})
    plugins.install(Plugins.read(folder))
    contract = Contract(("epochs",), optional=("inner",))
    registry.add_kind("pruner", own / "pruners", "tool.pruners", contract)
    registry.add_kind("pruner", own / "pruners", "tool.pruners", contract)
    assert registry.names("pruner") == ("halving", "never")
    assert registry.find("pruner", "never")(3) is None
    with pytest.raises(ValueError, match="the kind 'pruner' is known as"):
        registry.add_kind("pruner", own, "tool.pruners")


def test_a_name_of_the_tools_own_is_refused_before_and_after_its_kind_is_known(tmp_path):
    files = {"losses/regmix.py": LOSS}
    told = "losses/regmix.py: the tool has a loss of this name; rename the file"
    assert refusal(Plugins.read, written(tmp_path / "own", files)) == told
    assert refusal(plugins.install, Plugins(files, "far")) == told
    files = {"attacks/fgsm.py": ""}
    assert "the tool has an attack of this name" in refusal(plugins.install, Plugins(files, "far"))
    own = written(tmp_path / "tool", {"pruners/never.py": ""})
    plugins.install(Plugins(FILES, "far"))
    told = "pruners/never.py: the tool has a pruner of this name; rename the file"
    assert refusal(registry.add_kind, "pruner", own / "pruners", "tool.pruners") == told


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (None, "{}: no such folder; give one that holds plug-ins"),
        ({"other/mine.py": ""}, "{}: must have one of the folders data/, models/, attacks/, lo"),
        ({"losses/notes.txt": ""}, "{}: must hold a file *.py in data/, models/, attacks/, losses"),
        ({"losses/my-loss.py": ""}, "{}/losses/my-loss.py: the file's name must be a name in Py"),
        ({"losses/2nd.py": ""}, "{}/losses/2nd.py: the file's name must be"),
        ({"losses/lambda.py": ""}, "but is 'lambda'; rename it"),
        ({"losses/_a b.py": ""}, "but is '_a b'; rename it"),
        ({"losses/m\u00fcde.py": ""}, "but is 'm\u00fcde'; rename it"),
        ({"losses/mine.py": "#" * 1_000_001}, "must be at most 1 MB, but has 1,000,001 bytes; kee"),
        ({"losses/mine.py": "def mine(:"}, "{}/losses/mine.py:1: is no Python"),
        ({"losses/_shared.py": "\nbreak"}, "{}/losses/_shared.py:2: is no Python: 'break' outside"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_one_line(tmp_path, files, told):
    folder = tmp_path / "own"
    if files is not None:
        written(folder, files)
    assert told.format(folder) in refusal(Plugins.read, folder)


def test_a_file_that_is_not_text_is_told(folder):
    (folder / "losses" / "mine.py").write_bytes(b"# caf\xe9\n")
    assert "must be UTF-8, but byte 5 is not; save it as UTF-8" in refusal(Plugins.read, folder)


def test_a_file_that_cannot_be_read_is_told(folder):
    (folder / "losses" / "gone.py").symlink_to(folder / "nowhere")
    told = f"{folder}/losses/gone.py: can't be read (No such file or directory)"
    assert told in refusal(Plugins.read, folder)
    (folder / "losses" / "gone.py").unlink()
    (folder / "losses" / "gone.py").mkdir()
    assert "gone.py: can't be read (Is a directory)" in refusal(Plugins.read, folder)


def test_a_largest_file_is_still_read(tmp_path):
    text = "#" * 1_000_000
    assert Plugins.read(written(tmp_path, {"losses/_big.py": text})).sources == {
        "losses/_big.py": text
    }


def test_a_broken_contract_is_told_with_the_plugins_path(tmp_path):
    wrong = {"losses/mine.py": LOSS.replace("def inputs", "def branches")}
    plugins.install(Plugins.read(written(tmp_path, wrong)))
    told = f"{tmp_path}/losses/mine.py: must define inputs() beside mine()"
    for ask in (registry.options, registry.module, registry.find):
        assert told in refusal(ask, "loss", "mine")


def test_an_option_must_not_be_called_like_a_kind(tmp_path):
    wrong = {"losses/mine.py": LOSS.replace("scale", "data")}
    plugins.install(Plugins.read(written(tmp_path, wrong)))
    assert "an option must not be called data" in refusal(registry.options, "loss", "mine")


@pytest.mark.parametrize("option", ["lr", "width"])  # the trainer has one, a model another
def test_an_option_of_a_run_must_have_a_name_of_its_own(tmp_path, option):
    wrong = {"losses/mine.py": LOSS.replace("scale", option)}
    plugins.install(Plugins.read(written(tmp_path, wrong)))
    flat = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "mine"}
    told = f"loss mine: its option {option} must have a name of its own"
    assert told in refusal(TrainConfig.from_flat, flat)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"losses/mine.py": "import no_such_package\n" + LOSS},
            "losses/mine.py:1: can't be imported (ModuleNotFoundError: No module named 'no_such_pa",
        ),
        (
            {"losses/mine.py": LOSS, "losses/_shared.py": "\n\nraise KeyError('a\\nb' * 200)"},
            "losses/_shared.py:3: can't be imported (KeyError: ",
        ),
        (
            {"losses/mine.py": LOSS},
            "losses/mine.py:8: can't be imported (ModuleNotFoundError: No module named 'regmix_pl",
        ),
        (
            {"losses/mine.py": LOSS.replace("_shared", "_shared.more"), "losses/_shared.py": ""},
            "losses/mine.py:8: can't be imported (ModuleNotFoundError: No module named 'regmix_pl",
        ),
        (
            {"losses/mine.py": LOSS, "losses/_shared.py": ""},
            "losses/mine.py:8: can't be imported (ImportError: cannot import name 'scaled' from 'r",
        ),
    ],
)
def test_an_error_while_a_plugin_is_imported_is_told_with_its_file(tmp_path, files, told):
    plugins.install(Plugins.read(written(tmp_path, files)))
    assert refusal(registry.find, "loss", "mine").startswith(f"{tmp_path}/{told}")


def test_a_traceback_shows_the_lines_that_were_installed(tmp_path):
    text = "def bad(channels, classes):\n    return 1 / classes\n"
    folder = written(tmp_path / "own", {"models/bad.py": text})
    plugins.install(Plugins.read(folder))
    (folder / "models" / "bad.py").write_text("# another text\n" * 3)
    try:
        registry.find("model", "bad")(1, 0)
    except ZeroDivisionError:
        shown = traceback.format_exc()
    assert f'File "{folder}/models/bad.py", line 2, in bad' in shown
    assert "return 1 / classes" in shown


def test_a_result_depends_on_its_variants_what_they_import_and_all_helpers():
    read = Plugins({**FILES, "attacks/_other.py": ""}, "own")
    helpers = {"losses/_shared.py", "attacks/_other.py"}
    tools = [("data", "digits"), ("attack", "fgsm"), ("pruner", "halving"), ("recipe", "quick")]
    assert read.used(tools) == {}
    assert read.used([*tools, ("loss", "mine")]).keys() == {"losses/mine.py", *helpers}
    used = read.used([("model", "deep"), ("pruner", "never")])
    assert used.keys() == {"models/deep.py", "models/base.py", "pruners/never.py", *helpers}
    assert used == {path: read.digests[path] for path in used}


def test_changed_and_missing_plugins_are_told_by_name():
    read = Plugins(FILES, "own")
    known = read.used([("loss", "mine")])
    check_digests(known, read, "study")
    check_digests(known, Plugins({**FILES, "models/deep.py": ""}, "own"), "study")  # unused
    check_digests({}, None, "study")
    changed = Plugins({**FILES, "losses/_shared.py": SHARED + "\n"}, "own")
    told = refusal(check_digests, known, changed, "study s", changed="restore it, or choose anew")
    assert told == (
        f"study s: losses/_shared.py has changed since (sha256 {known['losses/_shared.py'][:12]}, "
        f"here {changed.digests['losses/_shared.py'][:12]}); restore it, or choose anew"
    )
    told = refusal(check_digests, known, None, "study s", missing="give its folder")
    assert told == "study s: needs the plug-in losses/mine.py; give its folder"
    without = Plugins({"losses/mine.py": LOSS}, "own")
    told = "needs the plug-in losses/_shared.py; give the folder that holds it"
    assert told in refusal(check_digests, known, without, "s")
