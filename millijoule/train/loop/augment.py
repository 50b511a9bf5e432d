"""Random changes to whole batches of images, so that a network learns what does not matter. numpy only."""

from __future__ import annotations

import numpy as np

from millijoule.train.loop.settings import Settings


def augmented(
    images: np.ndarray, indices: np.ndarray, epoch: int, settings: Settings, random: np.random.Generator
) -> np.ndarray:
    """uint8 images (n, height, width, channels), changed as the settings say.

    indices: (n,), the images' positions in the training set; with the epoch they say which are mirrored.
    """
    if settings.flip:
        images = flipped(images, (flips_first(indices, settings.seed) + epoch) % 2 == 1)
    images = shifted(images, settings.shift, random)
    if settings.colour:
        images = recoloured(images, settings.colour, random)
    if settings.cutout:
        images = cut_out(images, settings.cutout, random)
    return images


def flips_first(indices: np.ndarray, seed: int) -> np.ndarray:
    """0 or 1 for each image, as good as random: whether it is mirrored in odd epochs or in even ones."""
    # Knuth's multiplicative hash; bit 31 of the product depends on all bits of the index.
    return (((indices.astype(np.uint64) + np.uint64(seed) + np.uint64(1)) * np.uint64(2654435761)) >> np.uint64(31)) & 1


def flipped(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The images, those that `which` (n,) bool names mirrored left to right."""
    result = images.copy()
    result[which] = images[which, :, ::-1]
    return result


def shifted(images: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """The images, each moved by up to `most` pixels on each axis; their mirror image moves in."""
    if most == 0:
        return images
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    result = np.empty_like(images)
    for index, (top, left) in enumerate(random.integers(0, 2 * most + 1, (count, 2)).tolist()):
        result[index] = padded[index, top : top + height, left : left + width]
    return result


def cut_out(images: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """The images, a square of `side` pixels filled with the image's mean; its centre lies anywhere in the image."""
    count, height, width, channels = images.shape
    means = images.reshape(count, -1, channels).mean(axis=1).round().astype(images.dtype)
    result = images.copy()
    centres = random.integers(0, (height, width), (count, 2))
    for index, (row, column) in enumerate((centres - side // 2).tolist()):
        result[index, max(row, 0) : max(row + side, 0), max(column, 0) : max(column + side, 0)] = means[index]
    return result


def recoloured(images: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """The images with brightness, contrast and, of colour images, saturation changed by factors of their own.

    Brightness multiplies, contrast spreads around the image's mean, saturation around each pixel's mean.
    """
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(
        np.float32
    )
    changed = images * brightness
    mean = changed.mean(axis=(1, 2, 3), keepdims=True)
    changed = mean + contrast * (changed - mean)
    if images.shape[3] > 1:
        grey = changed.mean(axis=3, keepdims=True)
        changed = grey + saturation * (changed - grey)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
