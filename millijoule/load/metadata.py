"""What a file keeps for this package: how an image becomes the input, the names of the classes, and how
outputs become boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from millijoule.boxes import BoxCoding
from millijoule.errors import ModelError
from millijoule.model import Model

NAME = "millijoule"
"""Of the entry in the file's metadata."""


@dataclass(frozen=True)
class Kept:
    """The fields of a `Model` that no format has a place for."""

    preprocess: Mapping[str, Any]
    labels: tuple[str, ...]
    boxes: BoxCoding | None


def to_text(model: Model) -> str:
    """Preprocessing, labels and box coding as JSON; empty if there are none. Outputs are named by their position."""
    kept: dict[str, Any] = {"preprocess": dict(model.preprocess), "labels": list(model.labels)}
    if model.boxes:
        positions = {name: str(index) for index, name in enumerate(model.graph.outputs)}
        kept["boxes"] = model.boxes.renamed(positions).to_json()
    return json.dumps(kept) if any(kept.values()) else ""


def from_text(text: str | bytes, outputs: Sequence[str], fail: Callable[[str], NoReturn]) -> Kept:
    """What `to_text` wrote. outputs: the names that the loaded graph's outputs have."""
    try:
        kept = json.loads(text or "{}")
        preprocess, labels = kept.get("preprocess", {}), kept.get("labels", [])
        numbers = [float(number) for each in preprocess.values() for number in each]
        if not set(preprocess) <= {"mean", "std", "order"} or not all(abs(number) < float("inf") for number in numbers):
            raise ValueError
        order = preprocess.get("order", [])
        if any(number <= 0 for number in preprocess.get("std", [])) or sorted(order) != list(range(len(order))):
            raise ValueError
        if not all(isinstance(label, str) for label in labels):
            raise ValueError
        boxes = BoxCoding.from_json(kept["boxes"]) if kept.get("boxes") else None
    except (ValueError, TypeError, AttributeError, KeyError):
        fail(f"its metadata '{NAME}' is damaged: export the model again")
    names = {str(index): name for index, name in enumerate(outputs)}
    return Kept(preprocess, tuple(labels), boxes and boxes.renamed(names))


def restored(model: Model, text: str | bytes, file: str) -> Model:
    """The model of a file with what `to_text` wrote there. Raises ModelError that names the file if it is damaged."""

    def fail(reason: str) -> NoReturn:
        raise ModelError(f"{file}: {reason}")

    kept = from_text(text, model.graph.outputs, fail)
    return replace(model, preprocess=kept.preprocess, labels=kept.labels, boxes=kept.boxes)
