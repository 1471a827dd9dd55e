"""A small network, trained in a second, with its file; and images of photographs' kind."""

import numpy as np
from PIL import Image

from pipeline.driver.replay import replay
from pipeline.problem.environment import versions
from pipeline.problem.exported import load_part
from regmix.config import TrainConfig
from regmix.exported.file import Exported
from tests.support.controllers import metrics

SETTINGS = {
    "attack": "fgsm", "loss": "plain", "model": "small_cnn", "width": 8, "epochs": 3,
    "valid_images": 40, "batch_size": 20, "lr": 0.05, "eval_seed": 3, "eval_steps": 2,
}  # fmt: skip


def trained(path, digests=None, **more):
    """Train a network of these settings, and return its file as train.py writes it.

    `digests` are those of the plug-ins that it uses.
    """
    config = TrainConfig.from_flat({**SETTINGS, **more})
    images, machine = load_part(config, "train"), {"device": "cpu", "threads": 1}
    wanted = Exported(
        {"study": "none"},
        config,
        images.identity(),
        metrics(3, 0.5),
        machine,
        versions(),
        digests or {},
        path,
    )
    return replay(wanted, config.split(images), path)


def jpegs(folder, *, size=16, names=("kind0", "kind1", "kind2"), seed=1):
    """Write a folder of coloured JPEG files in three classes, which differ by a bar."""
    draw = np.random.default_rng(seed)
    for part, count in (("train", 60), ("test", 40)):
        for label, name in enumerate(names):
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 160, (size, size, 3), dtype=np.uint8)
                pixels[4 * label : 4 * label + 5, :, label % 3] += 60
                Image.fromarray(pixels).save(place / f"{number:02d}.jpg", quality=90)
    return folder
