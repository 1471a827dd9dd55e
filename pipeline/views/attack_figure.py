"""What an attack does, as one picture: images, perturbations, probabilities, accuracies."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.views.formatting import radius
from regmix.errors import cut
from regmix.evaluation.attack_view import ATTACK, AttackPicture, AttackView
from regmix.evaluation.results import Proportion

_INK, _GREY, _LINE, _TRACK = "#1f2933", "#6b7785", "#dfe3e8", "#eef1f4"
_MODELS = ("#2458a6", "#c2571a")
_RIGHT, _WRONG = "#2e7d6b", "#c0392b"
_DOTS = 100  # an inch
_WIDTH, _MARGIN = 1200, 40
_SIDE, _GAP, _ROW = 96, 10, 138  # of an image, between two, and from one row to the next
_HEAD, _FOOT = 144, 420  # of the page: what stands above the rows, and below them
_CLASSES = 10  # that are drawn at most


def draw(picture: AttackPicture) -> bytes:
    """Return the picture as the content of a PNG file, 1200 pixels wide."""
    columns = 2 if len(picture.views) == 1 else 1  # images beside each other
    rows = -(-len(picture.shown) // columns)
    page = _Page(_HEAD + rows * _ROW + _FOOT)
    _title(page, picture)
    room = _WIDTH - 2 * _MARGIN
    for place in range(len(picture.shown)):
        left = _MARGIN + (place % columns) * (room + 40) // columns
        _image(page, picture, place, left, _HEAD + (place // columns) * _ROW)
    top = page.height - _FOOT + 10
    page.line(_MARGIN, top, _WIDTH - _MARGIN)
    _curves(page, picture, top + 24)
    _falls(page, picture, top + 24)
    return page.png()


class _Page:
    """A figure that is measured in pixels from its top left corner."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.figure = Figure((_WIDTH / _DOTS, height / _DOTS), dpi=_DOTS, facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        below = self.height - top - height
        return self.figure.add_axes(
            (left / _WIDTH, below / self.height, width / _WIDTH, height / self.height)
        )

    def text(
        self,
        left: float,
        top: float,
        words: str,
        *,
        size: float = 13,
        color: str = _INK,
        align: str = "left",
        weight: str = "normal",
    ) -> None:
        """Write words whose middle line is `top`; size in pixels."""
        self.figure.text(
            left / _WIDTH,
            1 - top / self.height,
            words,
            fontsize=size * 72 / _DOTS,
            color=color,
            ha=align,
            va="center",
            fontweight=weight,
            parse_math=False,
        )

    def line(self, left: float, top: float, right: float) -> None:
        axes = self.axes(left, top, right - left, 1)
        axes.set_axis_off()
        axes.axhline(0.5, color=_LINE, linewidth=1)

    def image(self, left: float, top: float, pixels: NDArray[np.float32], edge: str) -> None:
        """Draw pixels (C, H, W) in [0, 1] as a square with an edge; small ones stay sharp."""
        axes = self.axes(left, top, _SIDE, _SIDE)
        levels = pixels[0] if len(pixels) != 3 else pixels.transpose(1, 2, 0)
        large = max(pixels.shape[1:]) > _SIDE // 2
        axes.imshow(
            levels,
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="antialiased" if large else "nearest",
        )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(edge)
            spine.set_linewidth(1 if edge == _LINE else 2)

    def png(self) -> bytes:
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters that the font lacks
            self.figure.savefig(content, format="png", dpi=_DOTS)
        return content.getvalue()


def _title(page: _Page, picture: AttackPicture) -> None:
    epsilon, count = radius(picture.epsilon), len(picture.images)
    page.text(_MARGIN, 36, "What an attack does", size=25, weight="bold")
    page.text(
        _MARGIN,
        66,
        f"{picture.data}, {count:,} validation images, L∞ radius ε = {epsilon}; {ATTACK}; "
        f"seed {picture.seed}. Drawn by chance: {len(picture.shown)} that "
        f"{cut(next(iter(picture.views)), 40)} gets right.",
        color=_GREY,
    )
    page.text(
        _MARGIN,
        88,
        f"Perturbations are scaled: in each channel grey is 0, black −{epsilon}, white +{epsilon}.",
        color=_GREY,
    )
    if len(picture.views) == 2:
        for number, name in enumerate(picture.views):
            left = _MARGIN + _SIDE + _GAP + number * _block(2)
            page.text(left, 112, cut(name, 44), size=15, color=_MODELS[number], weight="bold")
    for column in range(2 if len(picture.views) == 1 else 1):
        left = _MARGIN + column * (_WIDTH - 2 * _MARGIN + 40) // 2
        page.text(left, _HEAD - 12, "image", size=11, color=_GREY)
        for number in range(len(picture.views)):
            start = left + _SIDE + _GAP + number * _block(2)
            for place, word in enumerate(("perturbation", "attacked", "probabilities")):
                shift = place * (_SIDE + _GAP) + 4 * (place == 2)
                page.text(start + shift, _HEAD - 12, word, size=11, color=_GREY)


def _block(models: int) -> float:
    """Return the width of what is drawn of one network for one image, with the gap behind it."""
    room = _WIDTH - 2 * _MARGIN
    columns = 2 if models == 1 else 1
    return ((room + 40) / columns - 40 - _SIDE - _GAP + (models - 1) * 24) / models


def _image(page: _Page, picture: AttackPicture, place: int, left: float, top: float) -> None:
    index = picture.shown[place]
    image = picture.images.images[index].astype(np.float32) / 255
    names, label = picture.images.classes, int(picture.images.labels[index])
    page.image(left, top, image, _LINE)
    page.text(left, top + _SIDE + 14, cut(names[label], 14), weight="bold")
    left += _SIDE + _GAP
    width = _block(len(picture.views)) - (24 if len(picture.views) == 2 else 0)
    for view in picture.views.values():
        moved = view.perturbations[place]
        answer, right = int(view.after[place].argmax()), int(view.before[place].argmax()) == label
        holds = answer == label
        page.image(left, top, 0.5 + moved / (2 * picture.epsilon), _LINE)
        page.image(left + _SIDE + _GAP, top, image + moved, _RIGHT if holds else _WRONG)
        word = "holds" if holds else f"falls: {cut(names[answer], 14)}"
        if not right:
            word = f"wrong before: {cut(names[answer], 12)}"
        color = _RIGHT if holds else _WRONG
        page.text(left + _SIDE + _GAP, top + _SIDE + 14, word, color=color, weight="bold")
        bars = left + 2 * (_SIDE + _GAP) + 4
        room = left + width - bars
        _bars(page, "before", view.before[place], label, names, bars, top, room)
        _bars(page, "after", view.after[place], label, names, bars, top + 50, room)
        left += _block(len(picture.views))


def _bars(
    page: _Page,
    when: str,
    probabilities: NDArray[np.float32],
    label: int,
    names: Sequence[str],
    left: float,
    top: float,
    width: float,
) -> None:
    """Draw the two likeliest classes, each as a bar."""
    word, number = min(76, 14 + 8 * min(10, max(map(len, names)))), 34
    page.text(left + word, top + 6, when, size=11, color=_GREY)
    axes = page.axes(left + word, top + 14, width - word - number, 34)
    axes.set_xlim(0, 1)
    axes.set_ylim(1.5, -0.5)
    axes.set_axis_off()
    for row, one in enumerate(np.argsort(-probabilities, kind="stable")[:2]):
        value, middle = float(probabilities[one]), top + 14 + 8.5 + 17 * row
        color = _RIGHT if one == label else (_WRONG if row == 0 else "#9aa5b1")
        axes.barh(row, 1, 0.62, color=_TRACK)
        axes.barh(row, value, 0.62, color=color)
        page.text(left + word - 6, middle, cut(names[one], 10), size=12, align="right")
        page.text(left + width, middle, f"{value:.2f}", size=12, align="right")


def _plain(axes: Axes) -> None:
    """Leave a chart its lower edge and its grid alone."""
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(length=0, labelsize=12 * 72 / _DOTS, labelcolor=_GREY)
    axes.set_axisbelow(True)


def _curves(page: _Page, picture: AttackPicture, top: float) -> None:
    """Draw accuracy over the radius, with its intervals."""
    page.text(_MARGIN, top, "Accuracy over the radius", size=17, weight="bold")
    page.text(
        _MARGIN,
        top + 22,
        f"Bands: 95 % intervals of {len(picture.images):,} images. What fell stays fallen.",
        color=_GREY,
        size=12,
    )
    axes = page.axes(_MARGIN + 34, top + 44, 500, 280)
    _plain(axes)
    axes.grid(axis="y", color=_LINE, linewidth=1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.axvline(picture.epsilon, color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    for number, (name, view) in enumerate(picture.views.items()):
        color = _MODELS[number]
        shares = [Proportion(int(row.sum()), row.size) for row in view.survived]
        low, high = zip(*(share.interval for share in shares), strict=True)
        axes.fill_between(view.epsilons, low, high, color=color, alpha=0.16, linewidth=0)
        values = [share.value for share in shares]
        axes.plot(
            view.epsilons,
            values,
            color=color,
            marker="o",
            markersize=4.5,
            linewidth=2,
            clip_on=False,
        )
        main = values[view.epsilons.index(picture.epsilon)]
        axes.annotate(
            f"{cut(name, 28)}: {values[0]:.2f} clean, {main:.2f} at ε",
            (1, 0.97 - 0.085 * number),
            xycoords="axes fraction",
            ha="right",
            va="top",
            color=color,
            fontsize=13 * 72 / _DOTS,
            fontweight="bold",
            parse_math=False,
        )
    radii = next(iter(picture.views.values())).epsilons
    axes.set_xlim(0, radii[-1])
    ticks = [
        0.0,
        picture.epsilon,
        *(one for one in radii if _apart(one, picture.epsilon, radii[-1])),
    ]
    axes.set_xticks(ticks, [_tick(one, picture.epsilon) for one in ticks])


def _apart(one: float, main: float, last: float) -> bool:
    """Return whether a tick has room beside those of 0 and of the main radius."""
    return min(one, abs(one - main)) >= last / 5


def _tick(value: float, main: float) -> str:
    words = radius(float(f"{value:.4g}") if "/" not in radius(value) else value)
    return f"ε = {words}" if value == main else words


def _falls(page: _Page, picture: AttackPicture, top: float) -> None:
    """Draw each class's accuracy before and after the attack, the hardest hit first."""
    left, width = _MARGIN + 590, 530
    labels, names = picture.images.labels, picture.images.classes
    present = [int(one) for one in np.unique(labels)]
    first = next(iter(picture.views.values()))
    lost = {one: np.subtract(*_of_class(first, labels, one, picture.epsilon)) for one in present}
    order = sorted(present, key=lambda one: -lost[one])[:_CLASSES]
    page.text(left, top, "Which classes fall", size=17, weight="bold")
    some = (
        f", the {len(order)} of {len(present)} that lose most" if len(order) < len(present) else ""
    )
    page.text(
        left,
        top + 22,
        f"Light: right before the attack; dark: after it, ε = {radius(picture.epsilon)}{some}.",
        color=_GREY,
        size=12,
    )
    axes = page.axes(left + 84, top + 44, width - 84 - 120, 280)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_axis_off()
    thick = 0.66 / len(picture.views)
    for row, one in enumerate(order):
        middle = top + 44 + (row + 0.5) * 280 / len(order)
        page.text(left + 76, middle, cut(names[one], 11), size=12, align="right")
        words = []
        for number, view in enumerate(picture.views.values()):
            clean, robust = _of_class(view, labels, one, picture.epsilon)
            place = row + (number - (len(picture.views) - 1) / 2) * thick
            axes.barh(place, 1, thick * 0.9, color=_TRACK)
            axes.barh(place, clean, thick * 0.9, color=_MODELS[number], alpha=0.3, linewidth=0)
            axes.barh(place, robust, thick * 0.9, color=_MODELS[number])
            words.append((f"{clean:.2f} → {robust:.2f}", _MODELS[number]))
        for number, (word, color) in enumerate(words):
            shift = (number - (len(words) - 1) / 2) * 13
            page.text(left + width - 8, middle + shift, word, size=12, color=color, align="right")


def _of_class(
    view: AttackView, labels: NDArray[np.int64], one: int, epsilon: float
) -> tuple[float, float]:
    """Return the shares of a class that are right before the attack, and at the main radius."""
    members = view.survived[:, labels == one]
    return float(members[0].mean()), float(members[view.epsilons.index(epsilon)].mean())
