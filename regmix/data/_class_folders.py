"""What lies in a folder of class folders: its images, and what is left out and why."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

from regmix.data._image_files import SUFFIXES, is_unread_image
from regmix.errors import InputError, cut, shown

_HIDDEN = frozenset({"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", "lost+found"})


@dataclass(frozen=True)
class ClassFolders:
    """The images of one part.

    classes: names of the class folders, sorted; files: the images of each, sorted; left_out: what
    is passed over, in words.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]
    left_out: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """All images, class by class."""
        return [path for own in self.files for path in own]


def list_classes(folder: Path) -> ClassFolders:
    """List the images of folder/<class>/, without opening any.

    Hidden files and folders are passed over, and so are files that are no images.

    Raises:
        InputError: for a missing folder, fewer than 2 classes, an empty class, images of a kind
            that is not read, or images beside or below the class folders.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; an image folder has train/<class>/ and test/<class>/"
        )
    left_out: Counter[str] = Counter()
    folders, beside = _seen(folder, left_out)
    _refuse(folder, "lie beside the class folders", _images(beside), "move each into its class")
    left_out.update(map(_kind, beside))
    if len(folders) < 2:
        raise InputError(f"{folder}: must hold at least 2 class folders, but has {len(folders)}")
    files, below, unread = [], list[Path](), list[Path]()
    for place in folders:
        _check_name(place)
        deeper, found = _seen(place, left_out)
        own = [path for path in found if path.suffix.lower() in SUFFIXES]
        others = [path for path in found if path.suffix.lower() not in SUFFIXES]
        unread += filter(is_unread_image, others)
        left_out.update(map(_kind, others))
        for one in deeper:
            nested = list(_images(_walked(one)))
            below += nested
            left_out["folder without images"] += not nested
        files.append(tuple(own))
    _refuse(folder, "are of a kind that is not read", unread, "save them as PNG")
    _refuse(folder, "lie below the class folders", below, "move them up")
    for place, found_here in zip(folders, files, strict=True):
        if not found_here:
            raise InputError(f"{place}: no image in this class folder; remove it or fill it")
    return ClassFolders(tuple(place.name for place in folders), tuple(files), _words(left_out))


def other_folders(root: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Return in words which folders lie beside those that are known, such as `valid`."""
    folders, _ = _seen(root, Counter())
    names = [shown(folder.name, 30) for folder in folders if folder.name not in known]
    if not names:
        return ()
    more = ", ..." * (len(names) > 3)
    return (f"{len(names):,} other folder{'s' * (len(names) > 1)} ({', '.join(names[:3])}{more})",)


def _check_name(place: Path) -> None:
    """Raise InputError for a class whose name no exported file could hold."""
    if any(category(letter) in ("Cc", "Cs") for letter in place.name):
        raise InputError(
            f"{cut(str(place.parent), 120)}: the class folder {shown(place.name)} has a control "
            "character in its name, or bytes that are no text; rename it"
        )


def _seen(folder: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """Return sub-folders and files in the order of their names, and count the hidden ones."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror}); make it readable") from None
    folders, files = list[Path](), list[Path]()
    for entry in entries:
        is_folder = entry.is_dir()
        if entry.name.startswith(".") or entry.name in _HIDDEN:
            left_out["hidden folder" if is_folder else "hidden file"] += 1
        else:
            (folders if is_folder else files).append(entry)
    return folders, files


def _walked(folder: Path) -> list[Path]:
    """Return every file below a folder; links to folders are not followed."""
    return [
        Path(root, name)
        for root, _, names in os.walk(folder)
        for name in sorted(names)
        if not name.startswith(".")
    ]


def _images(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in SUFFIXES or is_unread_image(path)]


def _refuse(folder: Path, where: str, images: list[Path], remedy: str) -> None:
    if images:
        example = shown(str(images[0].relative_to(folder)))
        raise InputError(f"{folder}: {len(images):,} images {where}, such as {example}; {remedy}")


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return f"{suffix[:12]} file" if suffix.isprintable() and suffix else "file without a suffix"


def _words(left_out: Counter[str]) -> tuple[str, ...]:
    """Return what was left out as '3 .txt files', the most frequent first."""
    return tuple(
        f"{count:,} {kind if count == 1 else _plural(kind)}"
        for kind, count in left_out.most_common(6)
        if count
    )


def _plural(kind: str) -> str:
    noun, *rest = kind.split(" without ")
    return " without ".join([f"{noun}s", *rest])
