"""A rehearsal of a study's configurations in a process of its own, while Ray starts.

It loads torch, which a search's driver does not.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO

from pipeline.base.paths import ROOT
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.images import Split
from regmix.plugins import Plugins


class Rehearsal:
    """A running rehearsal."""

    def __init__(self, process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
        """Follow a process that writes its one line to `said`."""
        self._process, self._said = process, said

    def check(self) -> None:
        """Wait for its end.

        Raises:
            InputError: where network, attack, loss, images and batches don't fit.
            RuntimeError: where it met a bug.
        """
        status = self._process.wait()
        if status > 0:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
            if status != 2:
                raise RuntimeError(f"the rehearsal failed:\n{said}")
            raise InputError(said.splitlines()[-1])


@contextlib.contextmanager
def rehearsed(
    configs: Sequence[TrainConfig], data: Split, plugins: Plugins | None
) -> Iterator[Rehearsal]:
    """Begin to train each configuration for one step; at the end the process is gone.

    Args:
        configs: configurations that differ in what they are built of.
        data: images of the study.
        plugins: variants outside of the tool, if any.
    """
    asked = {
        "configs": [config.flat() for config in configs],
        "shape": data.train.images.shape[1:],
        "classes": len(data.train.classes),
        "train_images": len(data.train),
        "plugins": None if plugins is None else asdict(plugins),
    }
    with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as said:
        typed.write(json.dumps(asked, default=dict).encode())
        typed.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "regmix.training.rehearsal"],
            stdin=typed,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is this process's to answer
        )
        try:
            yield Rehearsal(process, said)
        finally:
            process.kill()
            process.wait()
