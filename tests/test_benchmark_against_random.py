"""The comparison with random search: a whole one at small size, and its table."""

import statistics

from benchmarks import against_random
from pipeline.search import parser


def test_both_ways_search_for_the_same_seconds_and_are_not_measured_twice(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(against_random, "RESULTS", tmp_path / "rows.jsonl")
    small = {"epochs": 3, "train_images": 100, "valid_images": 50, "width": 4}
    monkeypatch.setattr(against_random, "SET", small)
    assert against_random.main(["--seeds", "1", "--budget", "3"]) == 0
    rows = {row["way"]: row for row in against_random.read()}
    assert rows.keys() == {"random", "ours"}
    for way, row in rows.items():
        seconds = [second for second, _, _ in row["complete"]]
        assert seconds == sorted(seconds) and seconds[-1] <= 3
        assert row["trials"] >= len(row["complete"]) >= 2
        assert len(row["confirmed"]) == 3
        assert row["epochs"] >= row["trials"] * (3 if way == "random" else 1)
    assert rows["random"]["epochs"] <= 3 * (rows["random"]["trials"] + 1)  # nothing was pruned
    assert rows["ours"]["trials"] > rows["random"]["trials"]
    first, other = (rows[way]["complete"][0] for way in rows)
    assert first[1:] == other[1:] and first[2] == 0  # both begin with the default
    defaults = parser().parse_args([])
    assert rows["ours"]["settings"] == {
        "sampler": defaults.sampler,
        "pruner": defaults.pruner,
        "probes": defaults.probes,
    }
    shown = capsys.readouterr().out
    assert f"{statistics.mean(rows['ours']['confirmed']):.4f}" in shown
    searched = max(value for _, value, number in rows["ours"]["complete"] if number)
    assert f"{searched:.3f}" in shown
    before = against_random.RESULTS.read_text()
    assert against_random.main(["--seeds", "1", "--budget", "3"]) == 0
    assert against_random.RESULTS.read_text() == before
