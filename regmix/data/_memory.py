"""Images that can't be held are refused before room for them is taken."""

import os

from regmix.errors import InputError


def check_memory(place: object, shape: tuple[int, ...]) -> None:
    """Raise InputError where images (N, C, H, W) of a byte each exceed this machine's memory.

    Args:
        place: file or folder of the images, for the message.
        shape: (N, C, H, W), or any other order.
    """
    needed = 1
    for length in shape:
        needed *= length
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise InputError(
            f"{place}: images of the shape {shape} must fit into the memory of "
            f"{there / 2**30:.0f} GiB, but need {needed / 2**30:,.0f} GiB; take fewer or smaller"
        )
