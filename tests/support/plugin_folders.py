"""Folders of plug-ins, and a registry of a test's own to install them in."""

import contextlib
import sys

import pytest

from regmix import registry
from regmix.source_importer import SourceImporter


def written(folder, files):
    """Write the files of a plug-in folder (path within it -> text), and return the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@contextlib.contextmanager
def own_registry(kinds=None):
    """A registry without plug-ins, which is gone afterwards with all that it imported.

    kinds: kinds of variant that it knows; None for all that are known in this process.
    """
    known = {kind: registry._kinds[kind] for kind in kinds or registry._kinds}
    importer = SourceImporter("regmix_plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plugins", importer)
        patch.setattr(registry, "_kinds", known)
        yield
    if importer in sys.meta_path:  # where libraries that were imported meanwhile stay
        sys.meta_path.remove(importer)
    for name in [name for name in sys.modules if name.partition(".")[0] == "regmix_plugins"]:
        del sys.modules[name]
