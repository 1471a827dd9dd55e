"""Draw what an attack does: images, perturbations, probabilities, accuracy over the radius."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, paths
from pipeline.base.commands import near
from pipeline.base.narration import Waiting
from pipeline.driver.attack import attack
from pipeline.problem.exported import with_data_dir
from pipeline.problem.plugin_folder import load_plugins
from regmix import atomic
from regmix.errors import InputError
from regmix.exported.file import Exported
from regmix.ranges import Bounds, Count, PositiveUnitInterval, Seed
from regmix.user_files import absolute

_ROWS = Annotated[int, Bounds(low=1, high=40)]


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("attack.py", __doc__)
    result.add_argument(
        "files", metavar="FILE", nargs="+", help="one or two YAML files that export.py wrote"
    )
    result.add_argument("--out", help="PNG to write (default: attack.png)")
    result.add_argument("--images", help="number of validation images (default: 500, or all)")
    result.add_argument("--rows", help="number of images that are shown (default: 6)")
    result.add_argument(
        "--epsilons",
        nargs="+",
        metavar="EPSILON",
        help="radii of the curve (default: up to twice the file's own)",
    )
    result.add_argument("--seed", help="seed of the attack (default: the file's own)")
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    result.add_argument("--plugins", help="folder of the plug-ins that the search used")
    result.set_defaults(out="attack.png", rows=6)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the picture is written."""
    args = parser().parse_args(argv)
    count = cli.number("--images", args.images, Count | None)
    rows, seed = cli.number("--rows", args.rows, _ROWS), cli.number("--seed", args.seed, Seed)
    radii = args.epsilons and [
        cli.number("--epsilons", one, PositiveUnitInterval) for one in args.epsilons
    ]
    out = _target(args.out)
    files = _read(args.files, args.data_dir, args.plugins)
    picture = attack(files, count=count, rows=rows, epsilons=radii, seed=seed)
    from pipeline.views.attack_figure import draw

    with Waiting("drawing"):
        content = draw(picture)
    atomic.write(out, lambda file: file.write_bytes(content))
    for name, view in picture.views.items():
        survived = view.survived[view.epsilons.index(picture.epsilon)]
        print(
            f"{name}: {view.survived[0].sum()} of {survived.size} images are right, "
            f"{survived.sum()} after the attack"
        )
    print(f"wrote {near(out)}")
    return 0


def _target(name: str) -> Path:
    """Return the file to write, in a folder that is there."""
    out = absolute(name, "--out")
    if out.suffix.lower() != ".png":
        raise InputError(f"{cli.PLACE}: --out must end with .png, but is {out.name}; rename it")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file by --out")
    return paths.writable_folder(out.parent, "--out") / out.name


def _read(names: Sequence[str], data_dir: str | None, plugins: str | None) -> dict[Path, Exported]:
    known = load_plugins(plugins)
    if len(names) > 2:
        raise InputError(f"{cli.PLACE}: FILE may be given once or twice, not {len(names)} times")
    files = {absolute(name, "FILE"): name for name in names}
    if len(files) < len(names):
        raise InputError(f"{cli.PLACE}: FILE is the same twice; leave one out")
    return {path: with_data_dir(Exported.read(path, known), data_dir) for path in files}


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("attack", main)


if __name__ == "__main__":
    sys.exit(run())
