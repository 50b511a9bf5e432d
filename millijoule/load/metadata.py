"""What a TFLite or ONNX file keeps for this package: how an image becomes the input, and the names of the classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from millijoule.model import Model

NAME = "millijoule"
"""Of the entry in the file's metadata."""


def to_text(model: Model) -> str:
    """Preprocessing and labels as JSON; empty if there are none."""
    kept = {"preprocess": dict(model.preprocess), "labels": list(model.labels)}
    return json.dumps(kept) if any(kept.values()) else ""


def from_text(text: str | bytes, fail: Callable[[str], NoReturn]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """(preprocess, labels) of what `to_text` wrote."""
    try:
        kept = json.loads(text or "{}")
        preprocess, labels = kept.get("preprocess", {}), kept.get("labels", [])
        numbers = [float(number) for each in preprocess.values() for number in each]
        if not set(preprocess) <= {"mean", "std"} or not all(abs(number) < float("inf") for number in numbers):
            raise ValueError
        if any(number <= 0 for number in preprocess.get("std", [])) or not all(isinstance(x, str) for x in labels):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        fail(f"its metadata '{NAME}' is damaged: export the model again")
    return preprocess, tuple(labels)
