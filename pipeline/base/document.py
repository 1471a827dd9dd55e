"""One JSON document as all that a command writes to standard output.

What else it would print goes to standard error: whoever reads the document may still watch.
"""

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

FORMAT = 1
"""Number of the format of all documents. Fields are added under it, never changed or removed."""


@contextlib.contextmanager
def alone(*, wanted: bool) -> Iterator[TextIO]:
    """Send all that is printed meanwhile to standard error, and yield what standard output was.

    Args:
        wanted: whether a document is to come; else all stays as it is.
    """
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr if wanted else output):
        yield output


def write(output: TextIO, command: str, content: Mapping[str, Any]) -> None:
    """Write a document: ASCII alone, so that no terminal or locale changes it.

    Args:
        output: what standard output was.
        command: name of the command, such as 'search'.
        content: mappings, sequences, texts, numbers, booleans and None; a number that is NaN or
            infinite becomes null, as JSON has none.
    """
    whole = {"format": FORMAT, "command": command, **content}
    print(json.dumps(_finite(whole), indent=2, allow_nan=False), file=output, flush=True)


def _finite(value: object) -> object:
    """Return the same with None for each number that JSON doesn't have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return value
