"""Labelled images in memory, and how they are divided for a search."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regmix.errors import InputError, shown

PartName = Literal["train", "test"]


@dataclass(frozen=True)
class Images:
    """One part of a data set.

    images: (N, C, H, W) uint8; labels: (N,) int64 in [0, len(classes)). The rest is for the user:
    other: number of images of the part that was not read, None where nobody counted them;
    left_out: what was passed over, such as '3 .txt files'; remarks: what else there is to say.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    other: int | None = None
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> "Images":
        """Return the images at `index` (M,), in that order."""
        return Images(self.images[index], self.labels[index], self.classes)

    def first(self, count: int) -> "Images":
        """Return a stratified choice of images: the same for the same count.

        Args:
            count: number of images.

        Raises:
            InputError: where there are fewer.
        """
        if count > len(self):
            raise InputError(
                f"command line: --images must be at most {len(self)}, but is {count}; lower it"
            )
        order = stratified_order(self.labels, np.random.default_rng(0))
        return self.take(np.sort(order[:count]))

    def identity(self) -> dict[str, Any]:
        """Return what a network that was trained on them has learnt to see.

        Returns:
            `fingerprint`, `classes` by number, and `shape` (C, H, W), as lists.
        """
        return {
            "fingerprint": self.fingerprint(),
            "classes": list(self.classes),
            "shape": list(self.images.shape[1:]),
        }

    def described(self, part: PartName) -> str:
        """Return the one line that says what was read, and what was not.

        Args:
            part: the part of a data set that these images are.
        """
        channels, height, width = self.images.shape[1:]
        colour = {1: "grey", 3: "colour"}.get(channels, f"with {channels} channels")
        kind = {"train": "training", "test": "test"}[part]
        words = [f"read {len(self):,} {kind} images, {len(self.classes)} classes"]
        words[0] += f", {width}x{height} {colour}"
        if part == "train":
            unread = "the" if self.other is None else f"{self.other:,}"
            words.append(f"{unread} test images stay unread")
        if self.left_out:
            words.append(f"left out: {', '.join(self.left_out)}")
        return "; ".join([*words, *self.remarks])

    def deviations(self) -> list[float]:
        """Return the standard deviation of each channel, pixels in [0, 1]."""
        levels, found = np.arange(256) / 255, []
        for channel in range(self.images.shape[1]):
            counts = np.zeros(256, np.int64)
            for begin in range(0, len(self), 1000):  # what is counted takes eight times the room
                pixels = self.images[begin : begin + 1000, channel].ravel()
                counts += np.bincount(pixels, minlength=256)
            mean = np.average(levels, weights=counts)
            found.append(float(np.sqrt(np.average((levels - mean) ** 2, weights=counts))))
        return found

    def repeated(self) -> int:
        """Return how many images are, pixel by pixel, copies of an earlier one."""
        return len(self) - len({_digest(image) for image in self.images})

    def shared_with(self, others: "Images") -> int:
        """Return how many of these images are, pixel by pixel, also among the others."""
        known = {_digest(image) for image in others.images}
        return sum(_digest(image) in known for image in self.images)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any pixel, label, class or order."""
        digest = hashlib.sha256(f"{self.images.shape} {self.classes}".encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Return whether the three channels of (3, H, W) or (N, 3, H, W) are equal."""
    red, green, blue = (pixels[..., channel, :, :] for channel in range(3))
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


@dataclass(frozen=True)
class Split:
    """Images that a trial trains on, and images by which configurations are compared.

    train: what is trained on; valid: what every trial is judged by; further: what finalists are
    judged by beside it, every beginning of it stratified; None where there is no more.
    """

    train: Images
    valid: Images
    further: Images | None = None

    @property
    def held_out(self) -> Images:
        """All that is not trained on: `valid`, then `further`."""
        if self.further is None:
            return self.valid
        parts = (self.valid, self.further)
        return Images(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
            self.valid.classes,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        parts = (self.train, self.valid, self.further)
        return sum(part.images.nbytes for part in parts if part is not None)


def split(
    images: Images, *, valid: int, train: int | None, seed: int, held_out: int | None = None
) -> Split:
    """Hold out a stratified part of the training images for validation.

    Which images are held out, and which of them judge every trial, depends on the two numbers and
    `seed` alone: not on how many are trained on.

    Args:
        images: training part of a data set.
        valid: number of images that every trial is judged by.
        train: number of the others to train on, stratified; None takes all.
        seed: seed of the draw.
        held_out: number of images to hold out, those of `valid` among them; None: these alone.

    Raises:
        InputError: where there are too few images, or a class is left without one to train on.
    """
    held = valid if held_out is None else held_out
    left = len(images) - held
    if left < 1 or (train is not None and train > left):
        name = "valid_images" if held == valid else "finalist_images"
        raise InputError(
            f"configuration: {name} + train_images must fit into {len(images)} training "
            f"images, but are {held} + {train or 1}; lower one of them"
        )
    order = stratified_order(images.labels, np.random.default_rng(seed))
    trained = order[held:][:train]
    _check_classes(images, trained)
    return Split(
        train=images.take(np.sort(trained)),
        valid=images.take(np.sort(order[:valid])),
        further=images.take(order[valid:held]) if held > valid else None,
    )


def _check_classes(images: Images, trained: NDArray[np.int64]) -> None:
    """Raise InputError where a class has no image among those that are trained on."""
    counts = np.bincount(images.labels[trained], minlength=len(images.classes))
    if counts.all():
        return
    missing = np.flatnonzero(counts == 0)
    held = int((images.labels == missing[0]).sum())
    raise InputError(
        f"configuration: each of the {len(images.classes)} classes must have an image to train on, "
        f"but {len(missing)} have none, such as {shown(images.classes[missing[0]])} with {held} in "
        "all; raise train_images, lower valid_images or finalist_images, or add images of it"
    )


def stratified_order(
    labels: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random order (N,) of which every beginning holds the classes in proportion."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + generator.random()) / len(members)
    return np.argsort(place, kind="stable")
