"""What views of a large study cost: bytes and seconds of the report, seconds of `status.py`.

.venv/bin/python benchmarks/views.py --trials 10 1000

Nothing is trained: the studies are those of `benchmarks/driver.py`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.driver import NAME, build  # noqa: E402
from pipeline.driver.report import material  # noqa: E402
from pipeline.study.studies import Studies  # noqa: E402
from pipeline.views.html.page import page  # noqa: E402


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000])
    print("| trials | read, CPU s | report, CPU s | bytes | report.py, s | status.py, s |")
    print("|---|---|---|---|---|---|")
    for trials in parser.parse_args().trials:
        with tempfile.TemporaryDirectory(prefix="views-") as folder:
            build(Path(folder) / "studies" / NAME, trials)
            begun = time.process_time()
            opened = Studies(Path(folder)).open(NAME)
            read = time.process_time()
            text = page(material(opened))
            made = time.process_time()
            whole = [_seconds(one, folder) for one in ("report.py", "status.py")]
        spent = f"{read - begun:.2f} | {made - read:.2f}"
        typed = " | ".join(f"{one:.2f}" for one in whole)
        print(f"| {trials} | {spent} | {len(text.encode()):,} | {typed} |", flush=True)


def _seconds(script: str, runs: str) -> float:
    """Return how long a command takes on the study, as the shortest of three runs."""
    words = [sys.executable, str(ROOT / "pipeline" / script), "--study", NAME, "--runs", runs]
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        spent.append(time.perf_counter() - begun)
    return min(spent)


if __name__ == "__main__":
    main()
