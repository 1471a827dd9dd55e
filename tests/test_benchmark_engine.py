"""Each part of the benchmark of the engine, in small on a CPU; what needs a card says so."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import engine
from benchmarks.measures import (
    checkouts,
    crew,
    end_to_end,
    footprint,
    judging,
    packing,
    peak,
    rows,
    steps,
    time_to_robust,
    whole_trials,
)
from benchmarks.measures.cases import ALL_OFF, DIGITS, Batches, ours, plain, random_images
from benchmarks.measures.clock import interleaved, ratio
from benchmarks.measures.configurations import config, drawn
from benchmarks.measures.grouped import GroupedTraining, grouped
from benchmarks.measures.images import NEEDED, Task
from benchmarks.measures.setting import Budget, Setting
from benchmarks.reference import PlainTraining
from regmix.errors import InputError
from regmix.training.trainer import build_model
from tests.support.house import ROOT

CPU = Setting(torch.device("cpu"))
TINY = replace(DIGITS, model={"model": "small_cnn", "width": 4}, batch=8)
card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card, none is here")


@pytest.fixture
def tiny_task():
    """Digits so short that a training takes half a second."""
    small = {"width": 4, "train_images": 64, "valid_images": 20, "eval_steps": 2}
    return Task("digits", small)


def test_ways_take_turns_and_a_ratio_is_taken_round_by_round():
    order = []
    ways = {name: (lambda n=name: order.append(n)) for name in "ab"}
    found = interleaved(CPU.device, ways, Budget(0), least_rounds=3)
    assert order == list("ab" * 4)  # a warm-up, then three rounds
    assert [len(times) for times in found.values()] == [3, 3]
    assert ratio([2.0, 6.0, 9.0], [1.0, 2.0, 1.0]) == (3.0, 2.0, 9.0)


def test_a_budget_that_is_used_up_ends_the_rounds_and_one_that_is_not_has_the_most():
    assert len(interleaved(CPU.device, {"a": list}, Budget(0))["a"]) == 2
    assert len(interleaved(CPU.device, {"a": list}, Budget(60), most_rounds=5)["a"]) == 5


def test_flops_of_a_matrix_product_are_counted_and_its_rate_is_finite():
    one = torch.ones(4, 5)
    assert peak.flops(lambda: one @ one.T) == 2 * 4 * 5 * 4
    assert 0 < peak.product_rate(CPU.device, "fp32") < math.inf


@pytest.mark.parametrize("loss", ["wamr", "regmix"])
def test_a_step_is_measured_in_each_way(loss, monkeypatch):
    monkeypatch.setattr(steps, "_LEAST_SECONDS", 0.001)
    found = list(steps.measure_case(CPU, Budget(0), TINY, loss, "fp32", rate=1e11))
    ways = ["plain", "engine", "without channels_last", "without flat", "all off"]
    assert [row["way"] for row in found] == ways
    assert all(row["images/s"] > 0 and row["least"] <= row["most"] for row in found)
    assert found[0]["times plain"] == 1.0


def test_a_clean_term_costs_three_passes_more():
    data, counted = random_images(TINY.shape, 8), []
    for loss in ("wamr", "regmix"):
        counted.append(peak.flops(ours(TINY.config(loss), data, CPU.device, ALL_OFF)))
    # 7 and 10 passes: but the first layer's gradient for pixels is asked for in the attack alone
    assert 1.3 < counted[1] / counted[0] < 1.6


def test_the_plain_step_computes_more_than_ours():
    config_, data = TINY.config("wamr"), random_images(TINY.shape, 8)
    least = peak.flops(ours(config_, data, CPU.device, ALL_OFF))
    assert peak.flops(plain(config_, data, CPU.device)) > 1.1 * least  # 8 passes and 7


def test_memory_and_checkpoints():
    row = footprint.footprint("engine", TINY, "wamr", 64, CPU.device)
    assert row["peak MB"] >= row["before it MB"] > 10
    found = footprint.checkpoint(TINY, 200, CPU.device, epochs=1)
    assert 64 <= found["of it memory, B an image"] <= 64 * 5  # of a grey 8x8 image
    assert 200 * found["of it memory, B an image"] < found["MB"] * 1e6 < 1e6


@pytest.mark.process(seconds=4)
def test_memory_is_taken_in_a_process_of_its_own():
    found = list(footprint.measure_memory(replace(CPU), Budget(0.01)))
    assert found[0]["case"] == DIGITS.name and found[0]["peak MB"] > 10
    assert "skipped" in found[-1]


def test_configurations_are_drawn_from_both_spaces_and_are_the_same_again():
    points = drawn(4)
    assert points == drawn(4)
    assert [space for space, _ in points] == ["wamr", "regmix"] * 2
    assert len({json.dumps(params) for _, params in points}) == 4
    assert config(points[1], epochs=3).epochs == 3


def test_verdicts_of_the_judge_are_held_against_those_before(monkeypatch):
    monkeypatch.setattr(judging, "_EPOCHS", 1)
    monkeypatch.setattr(judging, "_EVERY_WAY", 1)
    monkeypatch.setattr(judging, "configured", _short)
    found = list(judging.measure(CPU, Budget(60), count=3))
    assert [row["judge"] for row in found] == list(judging.WAYS)
    assert [row["networks"] for row in found] == [3, 1, 1, 1, 3]
    for row in found[:4]:  # the exact ones
        assert row["epoch verdicts differ"] == row["end verdicts differ"] == 0
    assert all(row["of images"] == 20 * row["networks"] for row in found)


def _short(point, **changes):
    return config(point, **{"train_images": 64, "valid_images": 20, "width": 4, **changes})


def test_verdicts_that_differ_are_counted():
    one = judging.Verdict(2.0, torch.tensor([True, True]), [True, False])
    other = judging.Verdict(1.0, torch.tensor([True, False]), [False, True])
    rows_ = list(judging.compared([{judging.BEFORE: one, "x": other}]))
    assert rows_[0]["epoch verdicts differ"] == 0
    assert (rows_[1]["epoch verdicts differ"], rows_[1]["end verdicts differ"]) == (1, 2)
    assert rows_[1]["times before"] == 2.0


def test_a_whole_trial_is_timed_in_each_way():
    short = _short(drawn(1)[0], epochs=2)
    data = short.split(random_images((1, 8, 8), 200))
    found = list(whole_trials.measure_ways(CPU, Budget(0), short, data, whole_trials.TRIALS))
    assert [row["trial"] for row in found] == list(whole_trials.TRIALS)
    assert found[0]["times before"] == 1.0 and all(row["CPU s"] > 0 for row in found)


def test_another_checkout_is_held_against_this_one():
    there = {"seconds": 4.0, "robust": 0.5, "hits": 50, "count": 100}
    here = {**there, "seconds": 2.0, "robust": 0.7, "hits": 70}
    low = {**there, "robust": 0.2, "hits": 20}
    found = checkouts.summary([(there, here), (low, low), (there, there)])
    assert (found["times there"], found["above its interval"]) == (1.0, 1)
    assert (found["least"], found["most"]) == (1.0, 2.0)
    assert found["more robust by"] == pytest.approx(0.2 / 3)


@pytest.mark.process(seconds=8)
def test_a_checkout_trains_with_its_own_code():
    with checkouts.worker(ROOT) as process:
        changes = {"epochs": 1, "train_images": 64, "valid_images": 20, "width": 4}
        row = checkouts.trial(process, drawn(1)[0], changes)
    assert row["robust"] == row["hits"] / 20 and row["seconds"] > 0 and row["count"] == 20


def test_a_folder_that_is_no_checkout_is_told(tmp_path):
    with pytest.raises(InputError, match="--against"):
        next(checkouts.measure(replace(CPU, against=tmp_path), Budget(1)))
    assert "--against" in next(checkouts.measure(CPU, Budget(1)))["why"]


def networks(count):
    configs = [TINY.config("wamr", seed=seed, alpha=1.0 + seed) for seed in range(count)]
    return configs, [build_model(one, 1, 10) for one in configs]


def test_networks_in_one_compute_what_each_does_alone():
    _, alone = networks(3)
    for network in alone:  # running statistics of their own
        network(torch.rand(16, 1, 8, 8))
    together, images = grouped(alone), torch.rand(5, 3, 8, 8)
    for mode in (True, False):
        logits = together.train(mode)(images)
        for place, network in enumerate(alone):
            expected = network.train(mode)(images[:, place : place + 1])
            assert torch.allclose(logits[place], expected, atol=1e-5)


def test_networks_in_one_train_as_each_does_alone():
    configs, _ = networks(2)
    data = random_images((1, 8, 8), 32)
    together = GroupedTraining(configs, data, CPU.device)
    alone = [PlainTraining(one, data, CPU.device) for one in configs]
    for first in (0, 16):
        index = torch.stack([torch.arange(first, first + 8), torch.arange(first + 8, first + 16)])
        losses = together.step(index)
        for place, training in enumerate(alone):
            assert float(losses[place]) == pytest.approx(training.step(index[place])[0], rel=1e-4)
    expected = grouped([training.model for training in alone]).state_dict()
    for name, value in together.model.state_dict().items():
        assert torch.allclose(value.float(), expected[name].float(), atol=1e-5), name


def test_batches_never_end_and_hold_each_image_once_a_round():
    batches = Batches(20, 8, CPU.device)
    assert torch.cat([batches.next(), batches.next()]).unique().numel() == 16
    assert len(batches.next()) == 8


@pytest.mark.process(seconds=8)
def test_processes_are_packed_and_what_needs_a_card_is_told(monkeypatch):
    monkeypatch.setattr(packing, "_SECONDS", 0.1)
    found = list(packing.measure(CPU, Budget(30)))
    ways = {row["packed"] for row in found if "packed" in row}
    assert ways == {"grouped", "processes"}
    assert all(row["images/s"] > 0 for row in found if "packed" in row)
    assert [row["skipped"] for row in found if "skipped" in row] == ["streams, MPS"]


def test_a_process_trains_for_as_long_as_it_is_told():
    assert crew.train_for(DIGITS.name, "cpu", 0.0) > 0


def test_seconds_to_a_threshold(tiny_task):
    low, high = replace(CPU, threshold=0.001), replace(CPU, threshold=1.0)
    values = {"epochs": 2}
    never = time_to_robust.reached(high, tiny_task, "wamr", "regmix", values)
    assert never["seconds"] is None and never["epoch"] == 2 and never["trained s"] > 0
    found = time_to_robust.reached(low, tiny_task, "mse", "mse", {"epochs": 40})
    assert found["epoch"] < 40 and 0 < found["seconds"] == found["trained s"]
    assert found["images"] == 20


def test_every_loss_of_that_part_is_a_run(tiny_task):
    for loss, options in time_to_robust.LOSSES.values():
        assert tiny_task.config(loss, **options).loss.name == loss


def test_trials_end_to_end_have_intervals_and_one_for_all_seeds(tiny_task, monkeypatch):
    monkeypatch.setattr(end_to_end, "task", lambda setting: tiny_task)
    monkeypatch.setattr(end_to_end, "_CPU_EPOCHS", 1)
    found = list(end_to_end.measure(CPU, Budget(60)))
    single = [row for row in found if "seed" in row]
    assert [(row["precision"], row["seed"]) for row in single] == [
        (precision, seed) for seed in (0, 1, 2) for precision in ("bf16", "fp32")
    ]
    assert all(row["from"] <= row["robust"] <= row["to"] for row in single)
    assert [row["seeds"] for row in found[6:]] == [3, 3]


def test_parts_that_train_to_an_end_are_left_out_on_a_card_without_images():
    asked = Setting(torch.device("cuda"))
    for part in (time_to_robust.measure, end_to_end.measure):
        assert [row["why"] for row in part(asked, Budget(1))] == [NEEDED]


def test_tables_are_of_rows_with_the_same_names(tmp_path):
    text = rows.tables([{"a": 1, "b": 0.12345}, {"a": 2, "b": math.nan}, {"c": 12345.6}])
    assert text.splitlines() == [
        *("| a | b |", "| --- | --- |", "| 1 | 0.123 |", "| 2 | - |", ""),
        *("| c |", "| --- |", "| 12,346 |"),
    ]
    assert json.loads(rows.line({"a": math.inf, "b": np.pi})) == {"a": None, "b": math.pi}
    known = tmp_path / "cpuinfo"
    known.write_text("processor\t: 0\nmodel name\t: A B\n")
    assert rows.processor(known) == "A B"


def test_one_command_writes_rows_and_prints_tables(tmp_path, monkeypatch, capsys):
    def part(setting, budget):
        yield {"x": 1, "left": budget.seconds}
        yield {"x": 2, "left": budget.seconds}

    monkeypatch.setattr(engine, "PARTS", {"one": part, "two": part})
    monkeypatch.setattr(engine, "SHARES", {"two": (3, 9)})
    assert engine.main(["--device", "cpu", "--minutes", "1", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "## one" in shown and shown.count("| x | left |") == 2
    written = [json.loads(text) for text in (tmp_path / "engine-cpu.jsonl").open()]
    assert [row["part"] for row in written] == ["machine", "one", "one", "two", "two"]
    assert written[1]["left"] == pytest.approx(15, abs=1)
    assert written[3]["left"] == pytest.approx(60, abs=1)  # what the first part left is its own
    assert {"device", "torch", "date"} <= written[0].keys()


def test_shares_are_of_parts():
    assert engine.SHARES.keys() <= engine.PARTS.keys()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "tpu"], "--device"),
        (["--parts", "step,steps"], "steps"),
        (["--minutes", "0"], "--minutes"),
        (["--threshold", "45"], "--threshold"),
        (["--out", __file__], "--out"),
    ],
)
def test_a_mistake_is_told_in_a_line(words, told):
    with pytest.raises(InputError, match=told):
        engine.main(words)


@card
@pytest.mark.gpu
def test_a_card_measures_steps_with_graphs_and_in_bf16():
    asked = Setting(torch.device("cuda"))
    found = list(steps.measure_case(asked, Budget(0), DIGITS, "wamr", "bf16", rate=1e14))
    assert "with graphs" in [row["way"] for row in found]


@card
@pytest.mark.gpu
def test_a_card_packs_streams():
    asked = Setting(torch.device("cuda"))
    found = dict(packing._streams(asked, DIGITS, (1, 2)))
    assert found.keys() == {1, 2} and all(rate > 0 for rate in found.values())


@card
@pytest.mark.gpu
@pytest.mark.process(seconds=20)
def test_a_card_packs_processes_under_its_service_or_says_why_not(monkeypatch):
    monkeypatch.setattr(packing, "_SECONDS", 0.1)
    monkeypatch.setattr(packing, "CARD_COUNTS", (1, 2))
    found = list(packing.measure(Setting(torch.device("cuda")), Budget(60)))
    ways = {row["packed"] for row in found if "packed" in row}
    told = {row["skipped"] for row in found if "skipped" in row}
    assert ways | told == {"grouped", "streams", "processes", "MPS"}
