"""Count the bytes of a search's checkpoints by the hour, by the former rule and by the present one.

    python benchmarks/checkpoints.py [--images N] [--batches N]

One trial of the recipe `cifar10` (ResNet-18) on random images of CIFAR's shape: a few real batches,
and a memory whose every image has seen three steps on random gradients. Its state is serialised,
byte by byte, into a counter, so nothing is estimated but the length of an epoch. Former rule: all
of it after each epoch. Needs about 2.5 GB of memory.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pipeline.base.cli import Parser, number, run
from pipeline.execution.checkpoints import CheckpointWriter
from pipeline.problem.problem import SearchProblem
from pipeline.trial_files import CHECKPOINT
from pipeline.trial_files.disk import DiskFiles
from regmix.config import TrainConfig
from regmix.images import Images, Split
from regmix.ranges import Count
from regmix.training import checkpoint
from regmix.training.batches import in_batches
from regmix.training.codebook import encode
from regmix.training.trainer import RegMixTrainer

HOUR, LIMIT = 3600.0, 60.0
CARD = (2.0, 8.0, 16.0)  # seconds of an epoch: alone on a card, four and eight trials on one


class Counter:
    """A stream that counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, content: Any) -> int:  # noqa: ANN401  (whatever has a length)
        """Count what would be written."""
        self.bytes += len(content)
        return len(content)

    def flush(self) -> None:
        """There is nothing to flush."""


class Nowhere:
    """Files of trials that nobody keeps."""

    def write(self, number: int, name: str, fill: object) -> None:
        """Write nothing."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of one checkpoint: by the former rule, in the middle of a history, before a reset."""

    former: int
    between: int
    before_reset: int


def main(argv: Sequence[str]) -> int:
    """Print sizes, seconds, and bytes by the hour."""
    parser = Parser("checkpoints.py", __doc__)
    parser.add_values({"--images": "training images", "--batches": "batches that are trained"})
    parser.set_defaults(images="45000", batches="4")
    args = parser.parse_args(argv)
    images = number("--images", args.images, Count)
    batches = number("--batches", args.batches, Count)
    torch.set_num_threads(1)
    config = SearchProblem.load("wamr", "cifar10", {"valid_images": "100"}).config({})
    trainer = RegMixTrainer(config, random_images(images), torch.device("cpu"))
    order = in_batches(torch.randperm(images), config.batch_size)
    batch = trained(trainer, order, batches)
    age(trainer, order)
    sizes, screen = measured(trainer), Console()
    print(f"{images} images, {len(order)} batches of {config.batch_size}, reset every "
          f"{config.reset_interval} epochs; bytes of a checkpoint: {sizes}")  # fmt: skip
    lasted(trainer, order, batch)
    table = Table("an epoch, s", "former GB/h", "now GB/h", "share", "former files/h", "now")
    for seconds in (*CARD, batch * len(order)):
        (before, often), (after, seldom) = by_the_hour(sizes, config, seconds).values()
        gigabytes = (f"{total / 1e9:.1f}" for total in (before, after))
        share = f"{after / max(before, 1):.3f}"
        table.add_row(f"{seconds:.0f}", *gigabytes, share, str(often), str(seldom))
    screen.print(table)
    return 0


def random_images(count: int) -> Split:
    """Return images of CIFAR-10's shape that hold nothing."""
    draw = np.random.default_rng(0)

    def part(size: int) -> Images:
        pixels = draw.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8)
        return Images(pixels, draw.integers(0, 10, size), tuple("0123456789"))

    return Split(part(count), part(100))


def trained(trainer: RegMixTrainer, order: tuple[torch.Tensor, ...], batches: int) -> float:
    """Train some batches; return CPU seconds of one, the first left out."""
    trainer.model.train()
    trainer.train_batch(order[0])
    begun = time.process_time()
    for index in order[:batches]:
        trainer.train_batch(index)
    return (time.process_time() - begun) / batches


def age(trainer: RegMixTrainer, order: tuple[torch.Tensor, ...]) -> None:
    """Give each image a history of three steps on random gradients, as between two resets."""
    memory, generator = trainer._memory, torch.Generator().manual_seed(0)
    assert memory is not None, "the recipe has one"
    memory.begin_epoch(0, generator)
    for _ in range(3):
        for index in order:
            images = trainer.images[index].float() / 255
            gradient = torch.randn(images.shape, generator=generator)
            memory.keep(index, images, memory.recall(index), gradient, correct=torch.ones(2))
    coded = encode(memory.perturbation)
    values = "more than 256" if coded is None else len(coded["numbers of fp16"])
    print(f"distinct perturbations: {values}")


def measured(trainer: RegMixTrainer) -> Sizes:
    """Count the bytes of a checkpoint; its best weights are of an earlier epoch throughout."""
    model = trainer.average.model
    monitor = trainer.monitor
    monitor.best_epoch = 1
    monitor.best_weights = {name: w.clone() for name, w in model.state_dict().items()}
    trainer.epoch = 15
    state = trainer.state_dict()
    former = Counter()
    torch.save({"trainer": state, "history": []}, former)  # type: ignore[arg-type]
    between = size_of(state)
    trainer.epoch = 20
    before_reset = size_of(trainer.state_dict())
    trainer.epoch = 15
    return Sizes(former.bytes, between, before_reset)


def size_of(state: dict[str, Any]) -> int:
    """Return the bytes of a state as a trial writes it."""
    counter = Counter()
    checkpoint.dump({"trainer": checkpoint.copied(state), "history": []}, counter)  # type: ignore[arg-type]
    return counter.bytes


def lasted(trainer: RegMixTrainer, order: tuple[torch.Tensor, ...], batch: float) -> None:
    """Say how long a trial stands still for a copy, and for what is not written meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        files = DiskFiles(Path(folder))
        writer = CheckpointWriter(files, 0, LIMIT)
        state = {"trainer": trainer.state_dict(), "history": []}
        begun = time.process_time()
        writer.begin(state)
        copying, wall = time.process_time() - begun, time.monotonic()
        trainer.train_batch(order[0])
        batch_wall = time.monotonic() - wall
        writer.close()
        waiting = time.monotonic() - wall - batch_wall
        kept, begun = checkpoint.copied(state), time.process_time()
        files.write(0, CHECKPOINT, lambda stream: checkpoint.dump(kept, stream))
        writing = time.process_time() - begun
    print(
        f"seconds of CPU: copy {copying:.2f}, file {writing:.2f}, one batch {batch:.2f}; beside a "
        f"batch of {batch_wall:.1f} s by the clock the file was written {waiting:.1f} s after it"
    )


def by_the_hour(sizes: Sizes, config: TrainConfig, seconds: float) -> dict[str, tuple[int, int]]:
    """Return rule -> bytes and number of the checkpoints that one worker writes in an hour."""
    clock, total, files = [0.0], 0, 0
    count = int(HOUR / seconds)
    for step in range(count):
        epoch = step % config.epochs + 1
        if epoch == 1:  # the next trial begins
            writer = CheckpointWriter(Nowhere(), 0, LIMIT, lambda: clock[0])  # type: ignore[arg-type]
        clock[0] += seconds
        if epoch < config.epochs and writer.due(seconds):
            writer.begin({})
            reset = epoch % config.reset_interval == 0
            total, files = total + (sizes.before_reset if reset else sizes.between), files + 1
    return {"former": (count * sizes.former, count), "now": (total, files)}


if __name__ == "__main__":
    sys.exit(run("checkpoints", main))
