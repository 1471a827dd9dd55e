"""The comparison with random search: a whole one at small size, and its table."""

import itertools
import statistics

from benchmarks import against_random
from pipeline.search import parser


def test_both_ways_search_for_the_same_seconds_and_are_not_measured_twice(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(against_random, "RESULTS", tmp_path / "rows.jsonl")
    small = {"epochs": 3, "train_images": 100, "valid_images": 50, "width": 4, "eval_every": 1}
    monkeypatch.setattr(against_random, "SET", small)
    monkeypatch.setattr(against_random, "clock", itertools.count().__next__)  # a second an epoch
    assert against_random.main(["--seeds", "1", "--budget", "30"]) == 0
    rows = {row["way"]: row for row in against_random.read()}
    assert rows.keys() == {"random", "ours"}
    for way, row in rows.items():
        seconds = [second for second, _, _ in row["complete"]]
        assert seconds == sorted(seconds) and seconds[-1] <= 30
        assert row["trials"] >= len(row["complete"]) >= 1
        assert len(row["confirmed"]) == 3
        assert row["epochs"] >= row["trials"] * (3 if way == "random" else 1)
    assert rows["random"]["epochs"] <= 3 * (rows["random"]["trials"] + 1)  # nothing was pruned
    assert rows["ours"]["trials"] > rows["random"]["trials"]
    first, other = (rows[way]["complete"][0] for way in rows)
    assert first[1:] == other[1:] and first[2] == 0  # both begin with the default
    defaults, told = parser().parse_args([]), rows["ours"]["settings"]
    assert told.startswith(f"{defaults.sampler} Collapse(inner=Freeze(rungs=(1, 2)")
    assert told.endswith(f"control_every={defaults.control_every}")
    assert defaults.pruner == "collapse+freeze"
    shown = capsys.readouterr().out
    assert f"{statistics.mean(rows['ours']['confirmed']):.4f}" in shown
    found = max(value for _, value, _ in rows["ours"]["complete"])
    assert f"{found:.3f}" in shown
    before = against_random.RESULTS.read_text()
    assert against_random.main(["--seeds", "1", "--budget", "30"]) == 0
    assert against_random.RESULTS.read_text() == before
    first, rest = before.split("\n", 1)
    for broken in (first, rest):  # a seed of which one way is not measured yet is left out
        against_random.RESULTS.write_text(broken.strip() + "\n")
        assert against_random.main(["--table"]) == 0
    assert "seed" in capsys.readouterr().out
