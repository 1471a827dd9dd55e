"""The folder of `--plugins`: read, made known, and held against what was used before."""

from collections.abc import Mapping

from regmix import plugins
from regmix.plugins import Plugins


def load_plugins(folder: str | None) -> Plugins | None:
    """Read a plug-in folder and make its variants known in this process; None for no folder.

    Raises:
        InputError: where there is no such folder, or a file in it is wrong.
    """
    return plugins.install_folder(folder, "--plugins")


def check_plugins(
    known: Mapping[str, str],
    given: Plugins | None,
    place: str,
    *,
    changed: str = "restore it, or choose a new name by --study",
) -> None:
    """Prove that plug-ins are still those that were used before.

    Args:
        known: digest of each file that was used.
        given: the plug-ins of this command.
        place: study or file that used them, for the message.
        changed: remedy where a file has changed, for the message.

    Raises:
        InputError: naming the file that is missing or has changed.
    """
    missing = "give the folder that holds it by --plugins"
    plugins.check_digests(known, given, place, changed=changed, missing=missing)


def plugin_words(given: Plugins | None) -> list[str]:
    """Return the option and its folder for a command that is printed, nothing for no plug-ins."""
    return [] if given is None else ["--plugins", str(given.folder)]


def stored_plugin_words(digests: Mapping[str, str]) -> list[str]:
    """Return the same of a study that needs such files; where its folder is now, nobody stored.

    Args:
        digests: sha256 of each file that it needs.
    """
    return ["--plugins", "FOLDER"] if digests else []
