"""A view that a terminal draws again and again where it stands, and plain lines elsewhere."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.views.layout import page_width

_PER_SECOND = 2  # drawings of what changes by itself


def console() -> Console:
    """Return a console on standard output, as wide as the page.

    What is printed is text as it stands: brackets in a reason are no markup.
    """
    return Console(
        width=page_width(), highlight=False, markup=False, emoji=False, force_jupyter=False
    )


def is_redrawn(console: Console) -> bool:
    """Tell whether a console can show a table that changes, whatever FORCE_COLOR says.

    A notebook calls itself a terminal, also for a command of its own (`!make`), and can't go back
    by a line.
    """
    notebook = console.is_jupyter or "JPY_PARENT_PID" in os.environ
    terminal = console.is_terminal and not console.is_dumb_terminal
    return console.file.isatty() and terminal and not notebook


class RedrawnView(AbstractContextManager["RedrawnView"]):
    """What is redrawn while its context is open, and gone afterwards; nothing where that can't be.

    console: where it is shown.
    redrawn: whether it can be redrawn there.
    """

    def __init__(
        self, console: Console, draw: Callable[[], Text] | None = None, *, quiet: bool = False
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            console: where it is shown.
            draw: function that returns what to show, called twice a second; None where `update` is
                given it as it changes.
            quiet: whether nothing is shown.
        """
        self.console, self.redrawn = console, is_redrawn(console) and not quiet
        self._draw = draw
        self._live: Live | None = None

    def update(self, text: Text) -> None:
        """Show something else, where it can be redrawn."""
        if self._live is not None:
            self._live.update(text, refresh=True)

    def __enter__(self) -> Self:
        if self.redrawn:
            self._live = Live(
                get_renderable=self._draw,
                console=self.console,
                auto_refresh=self._draw is not None,
                refresh_per_second=_PER_SECOND,
                transient=True,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
