"""Exported configurations as the first trials of another study."""

import re

import pytest

from pipeline.study.warm_start import enqueue, read
from regmix.errors import InputError
from regmix.exported.file import Exported
from tests.support.controllers import controller_at
from tests.support.processes import run


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The files of the best two, from the best on."""
    out = tmp_path_factory.mktemp("exported")
    runs, _ = finished
    result = run("export", "--study", "wamr-digits", "--runs", runs, "--top", 2, "--out", out)
    assert result.code == 0, result.err
    return [out / f"wamr-digits-{rank}.yaml" for rank in (1, 2)]


def test_files_follow_the_default_each_once_and_say_where_they_came_from(exported, tmp_path):
    controller = controller_at(tmp_path, 9)
    wanted = read(controller.problem, exported, None)
    enqueue(controller.record, wanted)
    enqueue(controller.record, wanted)  # the command typed again
    numbers = [controller.ask().number for _ in range(4)]
    asked = [controller.record.trial(number) for number in numbers]
    default = {"alpha": 5.0, "beta": 1.0, "epsilon_ratio": 1.0}
    assert asked[0].params == default and asked[0].is_default
    origins = [trial.origin for trial in asked]
    given = [origin for origin in origins if origin.startswith("from ")]
    assert given == [f"from {path.name}" for path in exported if f"from {path.name}" in given]
    assert 1 <= len(given) <= 2  # one of the two may be the default itself
    for trial in asked:
        if trial.origin in given:
            path = next(p for p in exported if trial.origin == f"from {p.name}")
            config = Exported.read(path).config.flat()
            assert trial.params == {name: config[name] for name in default}
    assert origins[len(given) + 1] == "sampled"


def test_a_value_outside_the_range_is_refused_with_the_remedy(exported, tmp_path):
    far = tmp_path / "far.yaml"
    far.write_text(re.sub(r"alpha: .*", "alpha: 99.0", exported[0].read_text(), count=1))
    for path in exported[0].parent.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "study").mkdir()
    controller = controller_at(tmp_path / "study")
    with pytest.raises(InputError, match="alpha is 99.0, outside the range of wamr; widen it in a"):
        read(controller.problem, [far], None)
    assert len(controller.record.trials()) == 1
