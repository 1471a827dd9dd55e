"""Rows of a benchmark as lines of JSON and as tables of Markdown."""

import json
import math
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import torch

from benchmarks.measures.setting import Row


def machine(device: torch.device) -> Row:
    """Return what the numbers depend on."""
    card = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if card else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if card else None,
        "python": platform.python_version(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of this machine's processor, as Linux tells it."""
    text = file.read_text() if file.exists() else ""
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found[1] if found else platform.machine()


def file_name(device: torch.device) -> str:
    """Return the name of the file of results, such as engine-nvidia-h100.jsonl."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return f"engine-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.jsonl"


def line(row: Row) -> str:
    """Return a row as a line; what is no number is null."""
    return json.dumps({key: _plain(value) for key, value in row.items()}) + "\n"


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tables(rows: Iterable[Row]) -> str:
    """Return tables of Markdown: neighbours with the same names stand in one."""
    return "\n".join(_table(list(group)) for _, group in groupby(rows, key=list))


def _table(rows: list[Row]) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        digits = 0 if abs(value) >= 1000 else 3 if abs(value) < 1 else 2
        return f"{value:,.{digits}f}"
    return str(value)
