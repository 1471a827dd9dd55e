"""Run generated cases, count what came of them, print and keep what is wrong."""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[3])
os.environ["OMP_NUM_THREADS"] = "1"  # no thread may run where processes are forked
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from tests.support.fuzzing import base as good  # noqa: E402
from tests.support.fuzzing import runner  # noqa: E402


def main():
    """Return 0 where every case was accepted rightly or refused in one line."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: 0)")
    parser.add_argument("--cases", type=int, default=1500, help="how many (default: 1500)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="at once (default: 2)")
    parser.add_argument("--keep", type=Path, help="folder for what fails (default: a new one)")
    parser.add_argument("--words", action="store_true", help="print what each case was told")
    args = parser.parse_args()
    begun, ended = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="fuzzing-", ignore_cleanup_errors=True) as place:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            base = good.build(_folder(Path(place) / "base"))
        waiting = list(range(args.first, args.first + args.cases))
        running: list[runner.Running] = []
        while waiting or running:
            while waiting and len(running) < args.jobs:
                number = waiting.pop(0)
                folder = Path(place) / f"{args.seed}-{number}"
                running.append(runner.begin(args.seed, number, folder, base))
            time.sleep(0.005)
            for one in [one for one in running if runner.look(one)]:
                running.remove(one)
                ended.append(_told(one, args))
    return _report(ended, time.monotonic() - begun)


def _folder(path):
    path.mkdir()
    return path


def _told(one, args):
    """Print and keep a case that is wrong; return kind, what came of it, time, and its message."""
    fault, line = one.fault(), (one.err.strip().splitlines() or [""])[-1]
    runner.unlock(one.folder)
    if args.words:
        print(f"{args.seed}-{one.number} {one.kind} {one.status} {one.seconds:.2f} {line[:300]}")
    if fault:
        keep = args.keep or Path(tempfile.gettempdir()) / "fuzzing-failed"
        kept = keep / one.folder.name
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(shutil.Error):
            shutil.copytree(one.folder, kept, symlinks=True, ignore=_no_pipes)
        print(f"case {one.number} of seed {args.seed}: {fault} ({one.seconds:.1f} s)")
        print(f"  {one.case}"[:600])
        print(f"  said: {one.err.strip()[-400:]}\n  kept in {kept}", flush=True)
    shutil.rmtree(one.folder, ignore_errors=True)
    came = "failed" if fault else "accepted" if one.accepted else "refused"
    length = len(line) if came == "refused" else 0
    return one.kind, came, one.seconds, length, one.memory, one.number


def _no_pipes(folder, names):
    return [name for name in names if (Path(folder) / name).is_fifo()]


def _report(ended, seconds):
    kinds = Counter((kind, came) for kind, came, *_ in ended)
    for kind in sorted({kind for kind, *_ in ended}):
        counts = {came: kinds[kind, came] for came in ("accepted", "refused", "failed")}
        print(f"{kind:12}", ", ".join(f"{count} {came}" for came, count in counts.items()))
    came, slowest = Counter(one[1] for one in ended), max(ended, key=lambda one: one[2])
    print(
        f"{len(ended)} cases in {seconds:.0f} s: {came['accepted']} accepted, {came['refused']} "
        f"refused, {came['failed']} failed; slowest {slowest[2]:.1f} s (case {slowest[5]}), "
        f"longest message {max(one[3] for one in ended)} characters, most memory "
        f"{max(one[4] for one in ended) >> 20} MB"
    )
    return 1 if came["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
