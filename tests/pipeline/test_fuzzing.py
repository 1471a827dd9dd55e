"""A tenth of `make test-fuzz`: generated input is accepted rightly or refused in one line."""

import pytest

from tests.support.forked import Forked
from tests.support.processes import ROOT


@pytest.mark.process(seconds=20)
def test_generated_input_is_accepted_rightly_or_refused_in_one_line(tmp_path):
    import os

    words = [str(ROOT / "tests" / "support" / "fuzzing" / "__main__.py"), "--seed", "2026"]
    words += ["--cases", "120", "--jobs", "1", "--keep", str(tmp_path)]
    process = Forked(words, dict(os.environ), str(ROOT))
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "120 cases in" in out and " 0 failed" in out.splitlines()[-1]
    accepted = int(out.splitlines()[-1].split(" accepted")[0].split()[-1])
    assert 15 <= accepted <= 100  # it tries what is good too
