"""How an epoch's images are divided into batches, of which none holds a single leftover."""

from torch import Tensor


def in_batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Divide the images (N,) of an epoch; a last batch of one is joined to the one before.

    BatchNorm has no variance of one value, which one image gives wherever a network has pooled
    it to 1x1: 997 images would end so with batches of 2, 3, 4, 6, 12 and 83.

    Args:
        order: (N,) indices of the images, in the order of the epoch.
        size: number of images in a batch; with 1 every batch holds one image.
    """
    batches: tuple[Tensor, ...] = order.split(size)
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        return (*batches[:-2], order[-size - 1 :])
    return batches


def smallest_batch(count: int, size: int) -> int:
    """Return how many images the smallest batch of `in_batches` holds.

    Args:
        count: number of images in an epoch.
        size: number of images in a batch.
    """
    left = count % size
    return min(count, left if left > 1 else size)


def rows(images: Tensor, index: Tensor) -> Tensor:
    """Return the images at `index` (N,), in memory as all of them are: `images[index]`, but faster.

    Args:
        images: (M, C, H, W), contiguous or with their channels last.
        index: (N,) int64.
    """
    if images.stride(1) == 1:  # also where there is one channel, which counts as both
        last = images.permute(0, 2, 3, 1).index_select(0, index)
        return last.permute(0, 3, 1, 2)
    return images.index_select(0, index)
