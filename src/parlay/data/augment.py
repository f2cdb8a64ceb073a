"""Augmentation of a whole batch at once, on uint8 tensors, driven by an explicit generator."""

from __future__ import annotations

from parlay.extras import Needs

with Needs("augmentation", extra="train"):
    import torch
    from torch import Generator, Tensor

__all__ = ["crop_and_flip"]


def crop_and_flip(images: Tensor, *, margin: int, flip: bool, generator: Generator) -> Tensor:
    """Shift every image by up to ``margin`` pixels each way, filling with zeros, and mirror it with probability 1/2.

    The random numbers are drawn on the generator's device and then moved, so that a run sees the same ones anywhere.

    Args:
        images: uint8 (B, C, H, W).
        margin: pixels of padding before a random crop of the old size; 0 leaves the place as it is.
        flip: whether to mirror at all.
        generator: source of every random number.

    Returns:
        A new uint8 tensor (B, C, H, W) in channels-last memory, or ``images`` itself when there is nothing to do.

    >>> images = torch.full((2, 3, 8, 8), 9, dtype=torch.uint8)
    >>> moved = crop_and_flip(images, margin=2, flip=True, generator=torch.Generator().manual_seed(0))
    >>> moved.shape, moved.is_contiguous(memory_format=torch.channels_last)
    (torch.Size([2, 3, 8, 8]), True)
    """
    if not margin and not flip:
        return images
    count, channels, height, width = images.shape
    drawn = torch.randint(0, 2 * margin + 1, (2, count), generator=generator, device=generator.device)
    down, across = drawn.to(images.device)  # B each
    columns = torch.arange(width, device=images.device).expand(count, width)  # B, W
    if flip:
        mirrored = torch.rand(count, generator=generator, device=generator.device).to(images.device) < 0.5
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    columns = columns + across[:, None]
    tall, wide = height + 2 * margin, width + 2 * margin
    padded = images.new_zeros(count, tall, wide, channels)
    padded[:, margin : margin + height, margin : margin + width] = images.permute(0, 2, 3, 1)
    tops = torch.arange(count, device=images.device) * tall + down  # B, rows of all padded images counted through
    rows = tops[:, None] + torch.arange(height, device=images.device)  # B, H
    pixels = rows[:, :, None] * wide + columns[:, None, :]  # B, H, W
    # one flat index a pixel: much faster on a CPU than three index tensors that are broadcast
    chosen = padded.view(-1, channels).index_select(0, pixels.view(-1))  # B*H*W, C
    return chosen.view(count, height, width, channels).permute(0, 3, 1, 2)
