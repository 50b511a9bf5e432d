"""What is shown of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millijoule.boxes import Boxes

if TYPE_CHECKING:
    from millijoule.detect.data import AnnotatedImage
    from millijoule.detect.evaluation import DetectionEvaluation


@dataclass(frozen=True, eq=False)
class Findings:
    """What a model found in the test images of a data set, and how good it is.

    model, data: their names. found: boxes in each image, in its pixels. threshold: the score from which on a product
    acts on a box.
    """

    model: str
    data: str
    images: Sequence[AnnotatedImage]
    found: Sequence[Boxes]
    evaluation: DetectionEvaluation
    threshold: float

    @property
    def acted_on(self) -> list[Boxes]:
        """The boxes in each image from the threshold on."""
        return [boxes.take(boxes.scores >= self.threshold) for boxes in self.found]

    @property
    def classes(self) -> list[str]:
        return [each.name for each in self.evaluation.classes]


@dataclass(frozen=True, eq=False)
class ShippedDetector:
    """Of a deployment. map_50: mean average precision at an overlap of 0.5 as PASCAL VOC counts it since 2010, of the
    `float` model, `int8_host` and `int8_device`, each a fraction of 1 or None if unknown. boxes_compared: that the
    reference finds; boxes_equal: those of them that the C finds too, equal to the last bit and in the same order.
    working_bytes: static memory in which boxes are looked for, 0 if it is the arena's. found_bytes: of the boxes that
    the sample firmware has room for. findings: of the C, or of the reference where no C was run; None without data.
    """

    map_50: dict[str, float | None]
    boxes_compared: int
    boxes_equal: int
    working_bytes: int
    found_bytes: int
    findings: Findings | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "map_50": self.map_50,
            "boxes_compared": self.boxes_compared,
            "boxes_equal": self.boxes_equal,
            "working_bytes": self.working_bytes,
            "found_bytes": self.found_bytes,
            "evaluation": self.findings.evaluation.to_json() if self.findings else None,
        }
