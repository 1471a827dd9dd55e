"""What the pages of `docs/` show, taken out of them."""

import re

from tests.support.processes import ROOT

EXTENDING = ROOT / "docs" / "extending.md"


def blocks(page, language):
    """Return the fenced blocks of a language on a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def write_plugins(folder):
    """Write the files that the page about extending shows, under the names that it gives them."""
    for text in [block for kind in ("python", "yaml") for block in blocks(EXTENDING, kind)]:
        named = re.match(r"# my_plugins/(\S+)\n", text)
        if named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text[named.end() :])
    return folder
