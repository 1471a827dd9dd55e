"""What can't be trained is said in one line, before a search; what can be is let through."""

import io
import json

import pytest

from regmix import registry
from regmix.config import TrainConfig
from regmix.errors import LONGEST, InputError
from regmix.plugins import Plugins, install
from regmix.training import rehearsal
from regmix.training.rehearsal import rehearse
from tests.support.plugin_folders import own_registry, written

SMALL = {"small_cnn": 2, "resnet18": 8, "preactresnet18": 8, "wrn34_10": 1}
HEADS = {
    "models": "import torch\nfrom torch import nn\n\n\ndef mine(channels, classes):\n",
    "losses": "import torch\nfrom regmix.interfaces import LossInputs\n\n\n"
    "def inputs():\n    return LossInputs(False, False)\n\n\n"
    "def mine(final, initial, clean, target):\n",
    "attacks": "import torch\nfrom regmix.interfaces import AttackResult, PerturbationRadius\n\n\n"
    "def radius(*, epsilon):\n    return PerturbationRadius(epsilon, epsilon)\n\n\n"
    "def mine(model, images, start, target, *, epsilon, keep_graph):\n    z = model(images)\n"
    "    zero = torch.zeros_like(images)\n",
}
KINDS = {"models": "model", "losses": "loss", "attacks": "attack"}


def configured(**changes):
    flat = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "plain"}
    model = {**flat, **changes}["model"]
    width = {"width": SMALL[model]} if model in SMALL else {}
    return TrainConfig.from_flat({**flat, **width, **changes})


def refused(config, shape=(1, 8, 8), classes=10, count=100):
    with pytest.raises(InputError) as told:
        rehearse(config, shape, classes, count)
    assert len(str(told.value)) <= LONGEST
    return str(told.value)


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 10), ((3, 32, 32), 2), ((3, 1, 1), 3)])
def test_what_the_tool_has_fits(model, shape, classes):
    rehearse(configured(model=model, normalization="data"), shape, classes, 997)


@pytest.mark.parametrize("kind", ["attack", "loss"])
def test_every_attack_and_loss_of_the_tool_keeps_its_contract(kind):
    for name in registry.names(kind):
        for classes in (2, 3, 10):
            rehearse(configured(**{kind: name}), (1, 8, 8), classes, 50)


@pytest.mark.parametrize(
    ("model", "shape", "changes", "count"),
    [
        ("resnet18", (1, 8, 8), {}, 1),
        ("resnet18", (1, 8, 8), {"batch_size": 1}, 500),
        ("preactresnet18", (3, 4, 4), {"batch_size": 1}, 500),
        ("small_cnn", (3, 1, 1), {}, 1),
    ],
)
def test_a_batch_of_one_is_refused_where_a_network_pools_it_to_one_value(
    model, shape, changes, count
):
    line = refused(configured(model=model, **changes), shape, 10, count)
    size = "x".join(map(str, shape))
    assert line.startswith(f"model {model}: can't be trained with images of {size} in batches of 1")
    assert "batch_size" in line
    rehearse(configured(model=model), shape, 10, 997)  # and no single leftover is one


@pytest.mark.parametrize(
    ("folder", "body", "said"),
    [
        ("models", "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, classes))",
         "model mine: can't be trained with images of 1x8x8 in batches of 2 (mat1 and mat2"),
        ("models", "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))",
         "model mine: must return logits as real numbers of the shape (2, 10), but returns (2, 5)"),
        ("models", "    return nn.Sequential(nn.Conv2d(channels, classes, 3))",
         "but returns (2, 10, 6, 6)"),
        ("models", "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.Threshold("
         "9, float('nan')))", "gives logits that are NaN or infinite"),
        ("models", "    return nn.Flatten()", "model mine: has no weight to train"),
        ("models", "    return None", "model mine: must return a torch.nn.Module, but returns "
         "NoneType"),
        ("models", "    return nn.Linear(undefined, 3)", "mine.py:6: fails with images of 1x8x8 in "
         "batches of 2 (NameError: name 'undefined' is not defined)"),
        ("models", "    raise RuntimeError('no such layer')", "mine.py:6: fails with"),
        ("losses", "    return (final * 0).sum(1)", "loss mine: must return one number as real "
         "numbers of the shape (), but returns (2,)"),
        ("losses", "    return 3.0", "loss mine: must return a tensor of one number"),
        ("losses", "    return final.sum() * float('nan')", "loss mine, attack fgsm: loss is nan "
         "in epoch 1"),
        ("losses", "    return clean.sum()", "mine.py:10: fails as clean is None, since inputs() "
         "says that it isn't needed (AttributeError: 'NoneType' object has no attribute 'sum')"),
        ("losses", "    return final.sum() - clean.no_such()", "mine.py:10: fails with"),
        ("attacks", "    return AttackResult(zero + 0.5, z, zero)", "must stay within its radius"),
        ("attacks", "    return AttackResult(zero * float('nan'), z, zero)", "must stay within"),
        ("attacks", "    return AttackResult(zero - 0.01, z, zero)", "attack mine: must stay with"),
        ("attacks", "    return zero", "must return an AttackResult, but returns Tensor"),
        ("attacks", "    return AttackResult(zero[:1], z, zero)", "must return perturbations as"),
        ("attacks", "    return AttackResult(zero, z[:, :3], zero)", "must return logits as"),
    ],
)  # fmt: skip
def test_a_plug_in_that_breaks_its_contract_is_named(tmp_path, folder, body, said):
    written(tmp_path, {f"{folder}/mine.py": HEADS[folder] + body + "\n"})
    with own_registry():
        install(Plugins.read(tmp_path))
        assert said in refused(configured(**{KINDS[folder]: "mine"}))


def test_a_bug_of_the_tool_stays_a_traceback(monkeypatch):
    monkeypatch.setattr(rehearsal, "_check_loss", lambda *_: [][0])
    with pytest.raises(IndexError):
        rehearse(configured(), (1, 8, 8), 10, 100)


def test_as_a_process_it_answers_with_a_status_and_one_line(tmp_path, monkeypatch, capsys):
    written(tmp_path, {"losses/mine.py": HEADS["losses"] + "    return final.sum(1)\n"})
    found = Plugins.read(tmp_path)
    with own_registry():
        install(found)
        mine = configured(loss="mine").flat()

    def answer(*configs):
        plugins = {"sources": dict(found.sources), "folder": found.folder}
        asked = {"configs": configs, "shape": [1, 8, 8], "classes": 10, "train_images": 9}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**asked, "plugins": plugins})))
        with own_registry():
            return rehearsal.main(), capsys.readouterr().err.splitlines()

    good = configured().flat()
    assert answer(good) == (0, [])
    code, lines = answer(good, mine)
    assert code == 2 and len(lines) == 1 and lines[0].startswith("loss mine: must return one")
