"""C for a detector: the tables of its outputs, and `<name>_detect`, which says what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from millijoule.boxes import BoxCoding, Boxes, Level, Tables
from millijoule.emit.text import c_float, c_string, wrapped
from millijoule.errors import ModelError
from millijoule.model import Model

CANDIDATE_BYTES = 8
"""Of a `struct mj_candidate`."""
BOX = np.dtype([("corners", "<f4", 4), ("score", "<f4"), ("label", "<i4")])
"""A `struct mj_box`."""
COUNT_BYTES = 4


def found_bytes(coding: BoxCoding) -> int:
    """What the sample firmware writes of each input behind the outputs: how many boxes, and room for `coding.most`."""
    return COUNT_BYTES + coding.most * BOX.itemsize


def read_found(records: np.ndarray) -> list[Boxes]:
    """The boxes of int8 (n, found_bytes)."""
    found = []
    for record in np.ascontiguousarray(records):
        count = int(record[:COUNT_BYTES].view("<i4")[0])
        boxes = record[COUNT_BYTES:].view(BOX)[:count]
        found.append(Boxes.of(boxes["corners"], boxes["label"], boxes["score"]))
    return found


@dataclass(frozen=True)
class Detector:
    """Prints C for an int8 model with a box coding.

    name: the model's identifier. places: output → where it lies, an expression of C. free: as well, for `working_bytes`
    that nothing uses after an inference; None: it gets memory of its own.
    """

    model: Model
    name: str
    places: Mapping[str, str]
    free: str | None
    tables: dict[bytes, str] = field(default_factory=dict)
    """Those that are printed: numbers → name."""

    include = '\n#include "box.h"\n'

    @staticmethod
    def working_bytes(coding: BoxCoding) -> int:
        return CANDIDATE_BYTES * coding.candidates

    @property
    def own_bytes(self) -> int:
        """Static memory that it takes beside the arena."""
        return 0 if self.free else self.working_bytes(self.coding)

    @property
    def coding(self) -> BoxCoding:
        if self.model.boxes is None:
            raise ModelError(f"model '{self.model.graph.name}' has no box coding")
        return self.model.boxes

    def declarations(self) -> str:
        name, upper, coding = self.name, self.name.upper(), self.coding
        return f"""/* Boxes of lower scores are not worth acting on; more boxes than these are seldom wanted. */
#define {upper}_THRESHOLD {c_float(np.float32(coding.threshold))}
#define {upper}_MOST_BOXES {coding.most}

/* What the last inference found: reads the outputs in the arena, leaves them as they are, and writes boxes with scores
 * of `threshold` or more to found[0…most - 1], the best first. Returns how many they are. They are in pixels of the
 * input, {coding.size[1]} wide and {coding.size[0]} high. Of two of a class that overlap by
 * more than {coding.overlap:g} the better one is there; the {coding.candidates} best are compared.{self._where()} */
int {name}_detect(struct mj_box *found, int most, float threshold);

/* What the labels of boxes mean. */
extern const char *const {name}_labels[{coding.classes}];

"""

    def _where(self) -> str:
        if self.free:
            return " Works in the arena."
        return f" Works in {self.own_bytes:,} bytes beside the arena."

    def definitions(self) -> str:
        name, coding = self.name, self.coding
        levels = [self._level(level) for level in coding.levels]
        best = f"(struct mj_candidate *)(void *)({self.free})" if self.free else "best"
        own = "" if self.free else f"\n    static struct mj_candidate best[{coding.candidates}];"
        height, width = (c_float(np.float32(size)) for size in coding.size)
        labels = "".join(f"    {c_string(label)},\n" for label in self.model.labels or map(str, range(coding.classes)))
        return f"""
const char *const {name}_labels[{coding.classes}] = {{
{labels}}};

/* What the outputs' integers stand for, from -128 on. */
{"".join(self._printed())}
static const struct mj_level {name}_levels[] = {{
{"".join(levels)}}};

int {name}_detect(struct mj_box *found, int most, float threshold)
{{{own}
    _Static_assert(sizeof(struct mj_candidate) == {CANDIDATE_BYTES}, "a candidate");
    const struct mj_detect detect = {{
        .levels = {name}_levels,
        .level_count = {len(levels)},
        .classes = {coding.classes},
        .background = {int(coding.background)},
        .peaks = {int(coding.peaks)},
        .room = {coding.candidates},
        .centre = {c_float(np.float32(coding.centre))},
        .width = {width},
        .height = {height},
        .overlap = {c_float(np.float32(coding.overlap))},
    }};
    return mj_detect(&detect, threshold, {best}, found, most);
}}
"""

    def _level(self, level: Level) -> str:
        """One of the levels; its tables become known."""
        assert self.model.quantization is not None
        tables = Tables.of(self.coding, level, self.model.quantization)
        sizes = np.array(level.anchors, np.float32)
        has_objects = tables.objectness is not None
        members = {
            "scores": self._place(level, level.scores, self.coding.columns),
            "objectness": self._place(level, level.objectness, 1) if has_objects else "NULL",
            "boxes": self._place(level, level.boxes, 4),
            "score_table": self._table(tables.scores),
            "objectness_table": self._table(tables.objectness) if tables.objectness is not None else "NULL",
            "offset_table": self._table(tables.offsets),
            "growth_table": self._table(tables.growths),
            "rows": level.rows,
            "columns": level.columns,
            "anchors": len(level.anchors),
            "step": c_float(np.float32(level.step)),
            "sizes": self._table(sizes),
        }
        lines = "".join(f"        .{member} = {value},\n" for member, value in members.items())
        return f"    {{\n{lines}    }},\n"

    def _place(self, level: Level, output: str, numbers: int) -> str:
        return f"{self.places[output]} + {level.first * numbers}" if level.first else self.places[output]

    def _table(self, numbers: np.ndarray) -> str:
        """Its name; equal ones are printed once."""
        return self.tables.setdefault(numbers.tobytes(), f"{self.name}_numbers_{len(self.tables)}")

    def _printed(self) -> list[str]:
        texts = []
        for content, name in self.tables.items():
            numbers = np.frombuffer(content, np.float32)
            lines = ",\n".join(wrapped(map(c_float, numbers), 110))
            texts.append(f"static const float {name}[{numbers.size}] = {{\n{lines},\n}};\n")
        return texts
