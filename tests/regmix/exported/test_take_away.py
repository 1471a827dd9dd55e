"""A network that is taken away answers as before: by torch alone, as ONNX, as torch.export's."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
import yaml
from pyautoattack import AutoAttack

import regmix
from pipeline.problem.exported import load_test
from regmix.engine import ENGINE
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack
from regmix.evaluation.judged_network import judged
from regmix.exported import standalone
from regmix.exported.file import Exported
from regmix.exported.sources import gather
from regmix.plugins import install_folder
from tests.support.plugin_folders import own_registry
from tests.support.processes import call
from tests.support.shared import once
from tests.support.trained import trained

JUDGED = 10  # test images: AutoAttack takes as many steps for one

PLUGIN = '''"""A network of one's own, with a helper."""
from torch import nn

from regmix.ranges import Count
from regmix_plugins.models._pooled import pooled


def own(channels: int, classes: int, *, width: Count = 3) -> nn.Module:
    """Return a small network."""
    return nn.Sequential(nn.Conv2d(channels, width, 3), pooled(), nn.Linear(width, classes))
'''
HELPER = """from torch import nn


def pooled() -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
ASK = """
import sys
assert not {"numpy", "safetensors", "regmix"} & {name.partition(".")[0] for name in sys.modules}
import torch
sys.path.insert(0, sys.argv[1])
from load import load
images = torch.load(sys.argv[2], weights_only=True)
torch.set_num_threads(1)
with torch.no_grad():
    torch.save(load()(images), sys.argv[3])
for name in ("numpy", "safetensors", "regmix", "torchvision"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} is there")
"""


class Short(AutoAttack):
    """AutoAttack with a fraction of its steps, which takes a second in the place of twenty."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.apgd.n_iter = self.apgd_targeted.n_iter = self.fab.n_iter = 5
        self.square.n_queries = 50


@pytest.fixture(autouse=True)
def short():
    """Within a test and its fixtures alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regmix.evaluation.autoattack.AutoAttack", Short)
        yield


@pytest.fixture
def place(tmp_path_factory, short):
    """A file with normalisation, what judged it, and all other forms of it; to be read."""

    def take(folder):
        settings = {"data": "digits", "train_images": 200, "eval_epsilon": 0.1}
        trained(folder / "mine.yaml", **settings, normalization="data")
        words = ("--images", JUDGED, "--autoattack")
        assert call("evaluate", folder / "mine.yaml", *words).code == 0
        result = call("export", "--file", folder / "mine.yaml", "--format", "hub,onnx,pt2")
        assert result.code == 0, result.err

    return once(tmp_path_factory, "taken", take)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder of packages that holds torch and what torch itself asks for, and nothing else."""
    folder, site = tmp_path_factory.mktemp("alone"), Path(torch.__file__).parents[1]
    waiting, known = ["torch"], set()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for asked in found.requires or ():
            if "extra ==" not in asked:
                waiting.append(re.match(r"[\w.-]+", asked)[0])
        for file in found.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and (site / top).exists():
                link = folder / top
                if not link.exists():
                    link.symlink_to(site / top)
    assert "numpy" not in known and (folder / "torch").exists()
    return folder


def images(channels=1, size=8):
    return torch.rand(5, channels, size, size, generator=torch.Generator().manual_seed(7))


def logits(model, some):
    with torch.no_grad():
        return model(some)


def asked_alone(alone, hub, some, tmp_path):
    """The logits that a Python without anything but torch gets from a folder."""
    torch.save(some, tmp_path / "images.pt")
    code = f"import sys; sys.path.append({str(alone)!r})\n{ASK}"
    words = (str(hub), str(tmp_path / "images.pt"), str(tmp_path / "logits.pt"))
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *words], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return torch.load(tmp_path / "logits.pt", weights_only=True)


@pytest.mark.process(seconds=6)
def test_the_folder_gives_the_same_logits_with_torch_alone(place, alone, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    wanted = logits(regmix.load(place / "mine.yaml"), images())
    torch.set_num_threads(threads)
    found = asked_alone(alone, place / "mine-hub", images(), tmp_path)
    assert torch.equal(found, wanted)


def test_autoattack_finds_the_same_of_the_folder_as_of_the_file(place):
    file = place / "mine.yaml"
    test = load_test(Exported.read(file), file).first(JUDGED)
    pixels, labels = torch.from_numpy(test.images).float() / 255, torch.from_numpy(test.labels)
    network = judged(standalone.load(place / "mine-hub"), pixels, ENGINE)
    right = network(pixels).argmax(1) == labels
    alive = autoattack(network, pixels[right], labels[right], AttackSettings(0.1, 3))
    rows = yaml.safe_load((place / "mine.judgement.yaml").read_text())["rows"]
    assert int(right.sum()) == rows["clean"]["hits"]
    assert int(alive.sum()) == rows["AutoAttack"]["hits"]


@pytest.mark.parametrize("count", [1, 5])
def test_graphs_answer_as_the_network_whatever_the_number_of_images(place, count):
    some = images()[:count]
    wanted = logits(regmix.load(place / "mine.yaml"), some)
    session = onnxruntime.InferenceSession(place / "mine.onnx", providers=["CPUExecutionProvider"])
    (by_onnx,) = session.run(["logits"], {"images": some.numpy()})
    torch.testing.assert_close(torch.from_numpy(by_onnx), wanted, rtol=1e-5, atol=1e-5)
    program = torch.export.load(place / "mine.pt2")
    torch.testing.assert_close(logits(program.module(), some), wanted, rtol=1e-5, atol=1e-5)


def test_the_card_holds_what_was_measured_and_robustbench_nothing_else(place):
    card = (place / "mine-hub" / "README.md").read_text()
    _, metadata, text = card.split("---\n", 2)
    (index,) = yaml.safe_load(metadata)["model-index"]
    content = yaml.safe_load((place / "mine.yaml").read_text())
    rows = yaml.safe_load((place / "mine.judgement.yaml").read_text())["rows"]
    by_part = {one["dataset"]["split"]: one["metrics"] for one in index["results"]}
    assert [one["value"] for one in by_part["test"]] == [
        round(row["hits"] / row["count"], 4) for row in rows.values()
    ]
    assert by_part["validation"][0]["value"] == content["metrics"]["valid_clean"]
    assert by_part["validation"][-1]["value"] == content["final_robust"]
    assert all(f"n = {JUDGED}" in one["name"] for one in by_part["test"])
    for attack, row in rows.items():
        assert f"| test | {attack} | {row['hits'] / JUDGED:.4f} | " in text
    assert "images of 1 channel, 8x8, in 10 classes." in text
    assert "AutoAttack has attacked it too" in text and "epsilon = 0.1" in text
    info = json.loads((place / "mine-hub" / "robustbench.json").read_text())
    assert info["clean_acc"] == f"{100 * rows['clean']['hits'] / JUDGED:.2f}"
    assert info["autoattack_acc"] == f"{100 * rows['AutoAttack']['hits'] / JUDGED:.2f}"
    assert (info["reported"], info["link"], info["eps"]) == ("", "", "0.1")


def test_onnx_without_its_package_is_one_line_and_writes_nothing(place, tmp_path, monkeypatch):
    there = importlib.util.find_spec
    lack = ("onnx", "onnxscript")
    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n in lack else there(n))
    out = tmp_path / "out"
    line = call("export", "--file", place / "mine.yaml", "--format", "hub,onnx", "--out", out)
    assert "onnx is missing; pip install regmix-search[onnx]" in line.one_line
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "give either --study or --file"),
        (("--file", "x.yaml", "--study", "x"), "give either --study or --file"),
        (("--file", "x.yaml"), "must name another form than yaml"),
        (("--file", "x.yaml", "--format", "onx"), "unknown form 'onx'; did you mean 'onnx'?"),
        (("--file", "x.yaml", "--format", "hub", "--top", "2"), "--top is of a study"),
        (("--file", "x.yaml", "--format", "hub"), "can't be read"),
    ],
)
def test_what_can_t_be_converted_is_one_line(words, expected):
    assert expected in call("export", *words).one_line


def test_what_was_not_measured_is_left_open(place, tmp_path):
    for end in ("yaml", "safetensors"):
        (tmp_path / f"mine.{end}").write_bytes((place / f"mine.{end}").read_bytes())
    assert call("export", "--file", tmp_path / "mine.yaml", "--format", "hub").code == 0
    info = json.loads((tmp_path / "mine-hub" / "robustbench.json").read_text())
    assert info["clean_acc"] is info["autoattack_acc"] is None
    card = (tmp_path / "mine-hub" / "README.md").read_text()
    assert "Test images have not judged this network yet." in card and "| test |" not in card
    kept = (place / "mine.judgement.yaml").read_text()
    kept = re.sub(r"weights: \w+", f"weights: {'a' * 64}", kept)
    (tmp_path / "mine.judgement.yaml").write_text(kept)
    again = call("export", "--file", tmp_path / "mine.yaml", "--format", "hub")
    assert "is of other weights, and is left out of the card" in again.out
    assert (tmp_path / "mine-hub" / "README.md").read_text() == card


def test_a_folder_of_ones_own_keeps_what_else_is_in_it(place, tmp_path):
    hub = tmp_path / "mine-hub"
    (hub / ".git").mkdir(parents=True)
    (hub / ".git" / "config").write_text("mine")
    (hub / "network").mkdir()
    (hub / "network" / "old.py").touch()
    words = ("--file", place / "mine.yaml", "--format", "hub", "--out", tmp_path)
    assert call("export", *words).code == 0
    assert (hub / ".git" / "config").read_text() == "mine"
    assert not (hub / "network" / "old.py").exists() and (hub / "load.py").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine-hub"]


@pytest.fixture(name="apart")
def _apart():
    """Plug-ins that are known in this test alone."""
    with own_registry():
        yield


@pytest.mark.process(seconds=4)
def test_a_plug_in_s_network_goes_with_its_helper(apart, alone, tmp_path):
    models = tmp_path / "plugins" / "models"
    models.mkdir(parents=True)
    (models / "own.py").write_text(PLUGIN)
    (models / "_pooled.py").write_text(HELPER)
    file = tmp_path / "own.yaml"
    digests = install_folder(tmp_path / "plugins", "test").digests
    trained(file, digests, model="own", width=3, data="digits", train_images=100)
    result = call("export", "--file", file, "--format", "hub", "--plugins", tmp_path / "plugins")
    assert result.code == 0, result.err
    wanted = logits(regmix.load(file, plugins=tmp_path / "plugins"), images())
    assert torch.equal(asked_alone(alone, tmp_path / "own-hub", images(), tmp_path), wanted)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import numpy", "own.py:2: imports numpy, which what needs torch alone can't"),
        ("from regmix import registry", "regmix.registry can't be taken away"),
        ("import regmix.ranges", "import regmix.ranges must be a `from regmix... import"),
        ("from \\\n    regmix.ranges import Count as C", "must begin on one line"),
    ],
)
def test_a_network_that_needs_more_than_torch_is_refused_by_its_line(
    apart, tmp_path, line, expected
):
    models = tmp_path / "plugins" / "models"
    models.mkdir(parents=True)
    docstring, rest = PLUGIN.split("\n", 1)
    (models / "own.py").write_text(f"{docstring}\n{line}\n{rest}")
    (models / "_pooled.py").write_text(HELPER)
    install_folder(tmp_path / "plugins", "test")
    with pytest.raises(regmix.InputError, match=re.escape(expected)):
        gather("own")
