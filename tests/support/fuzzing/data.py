"""Image folders, .npz files and plug-in folders with mistakes."""

import io
import os
import zipfile

import numpy as np
from PIL import Image

from tests.support.fuzzing.values import damaged, flipped

LOSS = '''"""A loss."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.ranges import NonNegative


def mine(
    final: Tensor, initial: Tensor, clean: Tensor | None, target: Tensor, *,
    focus: NonNegative = 2.0
) -> Tensor:
    """Return it."""
    return focus * F.cross_entropy(final, target)


def inputs(*, focus: float) -> LossInputs:
    """Return what it needs."""
    return LossInputs(initial=False, clean=False)
'''
SAMPLER = '''"""A sampler."""

import optuna


def mine(context):
    """Return it."""
    return optuna.samplers.RandomSampler(seed=context.seed)
'''
CHANGES = [
    ("focus: NonNegative = 2.0", "focus = 2.0"), ("focus: NonNegative = 2.0", "focus: Fancy = 2.0"),
    ("NonNegative = 2.0", "NonNegative = -2.0"), ("NonNegative = 2.0", "NonNegative = [1]"),
    ("NonNegative = 2.0", "NonNegative = 0x" + "f" * 5000), ("NonNegative = 2.0", "float = 1e999"),
    ("NonNegative = 2.0", 'Annotated[float, Bounds("a")] = 2.0'), ("def mine", "def other"),
    ("NonNegative = 2.0", "Annotated[int, Bounds(1, [2])] = 2"), ("focus:", "lr:"), ("focus:",
    "loss:"),
    ("NonNegative = 2.0", "Literal[()] = 2.0"), ("NonNegative = 2.0", "Literal[1, 2] = 2"),
    ("NonNegative = 2.0", "NonNegative | None = None"), ("def inputs", "def input"),
    ("NonNegative = 2.0", "NonNegative = {**{}}"), ("NonNegative = 2.0", "NonNegative = {[]: 1}"),
    ("NonNegative = 2.0", "NonNegative = f()"), ("NonNegative = 2.0", "NonNegative"),
    ("final: Tensor, ", ""), ("*, focus", "*args, focus"), ("def mine", "async def mine"),
    ('"""A loss."""', "1 is 1"), ('"""A loss."""', "raise SystemExit(3)"), ("\n", "\r"),
    ('"""A loss."""', "raise RuntimeError('x\\n' * 900)"), ('"""A loss."""', "import nosuch"),
    ('"""A loss."""', "(" * 5000 + ")" * 5000), ('"""A loss."""', "-" * 100_000 + "1"),
    ('"""A loss."""', "x = " + "1 + " * 50_000 + "1"), ('"""A loss."""', "x = " + "9" * 5000),
    ('"""A loss."""', "# -*- coding: nosuch -*-"), ('"""A loss."""', "\0"), ('"""A loss."""',
    "\f\t x"),
    ('"""A loss."""', "if 1:\n" * 200 + " pass"), ('"""A loss."""', "#" * 1_200_000), ("focus",
    "für"),
]  # fmt: skip


def plugins(chance, folder):
    """Write a plug-in folder that may be good; return the name of its loss or sampler."""
    kind = chance.choice(["losses", "losses", "losses", "samplers", "los", "models", ""])
    text = SAMPLER if kind == "samplers" else LOSS
    for _ in range(chance.choice([0, 1, 1, 2])):
        text = (
            text.replace(*chance.choice(CHANGES))
            if chance.random() < 0.6 or kind == "samplers"  # what its body does is the user's
            else flipped(chance, text)
        )
    place = folder / kind
    place.mkdir(parents=True)
    name = chance.choice(["mine"] * 12 + ["mse", "a-b", "für", "class", "1x", "_mine", "x" * 200])
    path = place / f"{name}.py"
    how = chance.randrange(14)
    if how == 0:
        path.mkdir()
    elif how == 1:
        os.mkfifo(path)
    elif how == 2:
        path.symlink_to(path)
    elif how == 3:
        path.write_bytes(damaged(chance, text.encode()))
    elif how == 4:
        path.write_bytes(text.encode("utf-16"))
    else:
        path.write_text(text)
    return name


def npz(chance, path):
    """Write an .npz file that may be good."""
    draw = np.random.default_rng(chance.randrange(1000))
    arrays = {}
    size, classes = chance.choice([8, 8, 8, 1, 3]), chance.choice([3, 3, 10, 1])
    for part, count in (("train", 60), ("test", 20)):
        arrays[f"{part}_images"] = draw.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count) % classes
    for _ in range(chance.choice([0, 1, 1, 2])):
        key = chance.choice(sorted(arrays))
        arrays[key] = _array(chance, arrays[key])
        if chance.random() < 0.2:
            arrays[flipped(chance, key).replace("/", "")] = arrays.pop(key)
        if not arrays:
            break
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    how, content = chance.randrange(14), stream.getvalue()
    if how == 0:
        os.mkfifo(path)
    elif how == 1:
        path.symlink_to(path)
    elif how == 2:
        path.mkdir()
    elif how in (3, 4):
        path.write_bytes(damaged(chance, content))
    elif how == 5:
        _zip_bomb(path)
    else:
        path.write_bytes(content)


def _array(chance, array):
    """Return another array: of another type, shape or size, or with strange values."""
    if array.ndim == 0 or array.dtype.kind not in "iuf":  # changed before
        return array
    return chance.choice([
        lambda: array.astype(float), lambda: array.astype(float) / 255, lambda: array > 3,
        lambda: array.astype(object), lambda: array.astype(np.int64) * 10**9, lambda: array[:0],
        lambda: array[:1].reshape(-1), lambda: array[None], lambda: array.astype(str),
        lambda: array[:1], lambda: np.full_like(array, 7), lambda: np.array(3),
        lambda: array.astype(float) * np.nan, lambda: array.astype(np.int64) - 5,
        lambda: array.astype(complex), lambda: np.array([]), lambda: array.astype(">u2"),
        lambda: array[:7], lambda: array.astype(np.int64).astype("M8[s]"),
    ])()  # fmt: skip


def _zip_bomb(path):
    """Write arrays of 8 GB that take little room."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**7, 16, 16, 3)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            archive.writestr(f"{name}.npy", header.getvalue() + b"\0" * 10_000_000)


def images(chance, root):
    """Write an image folder that may be good."""
    classes = [f"kind{n}" for n in range(chance.choice([3, 3, 2, 1]))]
    size = chance.choice([8, 8, 4, 1])
    for part in ("train", "test"):
        for label, name in enumerate(classes):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(12):
                pixels = np.full((size, size, 3), 20 * label + number, np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    for _ in range(chance.choice([0, 1, 1, 2])):
        files = sorted(path for path in root.rglob("*.png") if path.is_file())
        if files:
            _spoil(chance, root, chance.choice(files))


def _spoil(chance, root, path):
    """Make one mistake in an image folder."""
    how = chance.randrange(20)
    place = path.parent
    if how == 0:
        path.write_bytes(damaged(chance, path.read_bytes()))
    elif how == 1:
        Image.new("L", (9, 7)).save(path)
    elif how == 2:
        Image.new(chance.choice(["I;16", "1", "P", "RGBA", "LA", "F", "CMYK"]), (8, 8)).save(
            path.with_suffix(".tif")
        )
        path.unlink()
    elif how == 3:
        path.unlink()
        os.mkfifo(path)
    elif how == 4:
        path.unlink()
        path.symlink_to(path)
    elif how == 5:
        path.unlink()
        path.mkdir()
    elif how == 6:
        (place / "below").mkdir()
        path.rename(place / "below" / path.name)
    elif how == 7:
        place.rename(
            place.with_name(chance.choice([".hidden", "é💥", " ", "x" * 200, "a\nb", "A"]))
        )
    elif how == 8:
        (place / chance.choice(["notes.txt", ".DS_Store", "Thumbs.db", "a.heic", "b.webp"])).touch()
    elif how == 9:
        (root / "train" / "empty").mkdir(exist_ok=True)
    elif how == 10:
        (root / "valid").mkdir(exist_ok=True)
    elif how == 11:
        for other in place.iterdir():
            other.unlink()
    elif how == 12:
        (root / "test").rename(root / "tests")
    elif how == 13:
        path.write_bytes(b"")
    elif how == 14:
        Image.new("1", (12_000, 12_000)).save(path)
    elif how == 15:
        place.chmod(0)
    elif how == 16:
        (place / "loop").symlink_to(root)
    elif how == 17:
        path.rename(
            path.with_suffix(chance.choice([".PNG", ".jpg", ".gif", "", ".npz", ".png.bak"]))
        )
    elif how == 18:
        Image.new("RGB", (8, 8)).save(path, "GIF")
    else:
        Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(path)
