"""Arrays as small pictures in a page."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np

GAP, GAP_COLOUR = 1, (79, 143, 201)
"""Pixels, and a colour that no grey picture has."""


def picture(pixels: np.ndarray, scale: int, alt: str) -> str:
    """An <img> of uint8 pixels (height, width, 1 or 3), `scale` screen pixels for each of its own."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    height, width = pixels.shape[:2]
    return (
        f'<img src="data:image/png;base64,{data}" width="{width * scale}" height="{height * scale}" '
        f'alt="{escape(alt)}">'
    )


def figure(image: str, caption: str) -> str:
    """caption: HTML."""
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def signed(weights: np.ndarray) -> np.ndarray:
    """uint8 of weights (n, height, width, channels): 0 is mid-grey, the largest of each image white or black."""
    most = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    scaled = weights / np.where(most > 0, most, 1)
    return np.rint(127.5 + 127.5 * scaled).astype(np.uint8)


def stretched(maps: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width, 1) of maps (height, width, n), each from its least number, black, to its largest."""
    channels = maps.transpose(2, 0, 1)[..., None].astype(np.float32)
    low, high = (of(channels, axis=(1, 2), keepdims=True) for of in (np.min, np.max))
    return np.rint(255 * (channels - low) / np.where(high > low, high - low, 1)).astype(np.uint8)


def montage(images: np.ndarray, columns: int) -> np.ndarray:
    """uint8 (height, width, 3): images (n, height, width, 1 or 3) side by side, `columns` in a row, a line between."""
    count, height, width, _ = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), GAP_COLOUR, np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def heat(scores: np.ndarray, full: float) -> np.ndarray:
    """uint8 (rows, columns, 3) of scores 0…1: white where nothing is lost of `full`, darker red the more is."""
    lost = np.clip((full - scores) / max(full, 1e-9), 0, 1)[..., None]
    white, red = np.array([255, 255, 255]), np.array([179, 38, 30])
    return np.rint(white + lost * (red - white)).astype(np.uint8)
