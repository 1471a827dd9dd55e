"""Pages as a browser shows them, with all that it complained of: headless Chromium."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OURS = ("127.0.0.1", "localhost")
_ARGUMENTS = (
    "--no-sandbox",  # as root, which a container's user is, there is none
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@dataclass
class Browsed:
    """A page in a browser that no address outside of this machine answers.

    page: playwright's own, which follows links and clicks.
    errors: errors on its console, exceptions that nothing caught, and requests that failed.
    outside: addresses that it asked for outside of this machine.
    """

    page: "Page"
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def watch(self):
        """Note from now on what goes wrong, also on pages that are opened from this one."""
        self._watch(self.page)
        self.page.context.on("page", self._watch)

    def follow(self, link):
        """Click on a link that opens a page of its own, and return that page."""
        with link.page.expect_popup() as opened:
            link.click()
        return opened.value

    def _watch(self, page):
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    @property
    def too_wide(self):
        """Pixels by which the page is wider than its window: then it scrolls sideways."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))

    def _console(self, message):
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location.get('url')})")

    def _request(self, request):
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _OURS:
            self.outside.append(request.url)

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # the page itself gave up, as it was left
            self.errors.append(f"failed: {request.url} ({request.failure})")

    def _response(self, response):
        if response.status >= 400:
            self.errors.append(f"status {response.status}: {response.url}")


def chromium():
    """Return the path of a browser on this machine, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browsing(width=1440, height=900) -> Iterator[Browsed]:
    """Open an empty page, and close the browser at the end.

    Playwright keeps an event loop of this thread meanwhile: no longer than a test.

    Args:
        width, height: size of the window in pixels.
    """
    path = chromium()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on the path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=list(_ARGUMENTS), timeout=300_000
        )
        try:
            found = Browsed(browser.new_page(viewport={"width": width, "height": height}))
            found.watch()
            yield found
        finally:
            browser.close()
