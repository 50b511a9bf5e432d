"""Writes docs/operators.md from the docstrings of the operators and of the importers.

python docs/make_operators.py          (a test holds the page equal to what this prints)
"""

from __future__ import annotations

import inspect
from pathlib import Path

from millijoule import ops
from millijoule.graph import Operator
from millijoule.load.onnx import SUPPORTED as ONNX
from millijoule.load.tflite.operators import SUPPORTED as TFLITE

PAGE = Path(__file__).parent / "operators.md"


def page() -> str:
    operators = [getattr(ops, name) for name in ops.__all__]
    rows = [f"| {_link(kind)} | {_first_line(kind)} | {_forms(kind)} |" for kind in operators]
    sections = [f"### {kind.__name__}\n\n```\n{inspect.getdoc(kind)}\n```\n" for kind in operators]
    tflite, onnx = (
        [f"| `{name}` | {_first_line(function)} |" for name, function in sorted(supported.items())]
        for supported in (TFLITE, ONNX)
    )
    return "\n".join(
        [
            "# Supported operators",
            "",
            "Made by `docs/make_operators.py` from the docstrings; change them, not this page.",
            "",
            "*float*: costed, trained and run with torch. *int8*: has integer semantics and a C kernel, which agree",
            "bit for bit. *rewritten*: float only, but a pass writes it as operators that have an int8 form.",
            "",
            "| operator | what it computes | forms |",
            "|---|---|---|",
            *rows,
            "",
            "Operators of a file that are not known here, or not in that form, become `Opaque`: listed, not counted,",
            "never run.",
            "",
            "## From TFLite files",
            "",
            "| TFLite operator | what is supported |",
            "|---|---|",
            *tflite,
            "",
            "## From ONNX files",
            "",
            "Opsets 7 to the newest of the onnx package. What depends on constants and shapes alone is computed on",
            "loading.",
            "",
            "| ONNX operator | what is supported |",
            "|---|---|",
            *onnx,
            "",
            "## The contracts",
            "",
            *sections,
        ]
    )


def _link(kind: type[Operator]) -> str:
    return f"[`{kind.__name__}`](#{kind.__name__.lower()})"


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").splitlines()[0].replace("|", "\\|")


REWRITTEN = {"BatchNorm", "Dropout", "RadialBasis", "Scale", "Subsample2d", "TableConv2d"}


def _forms(kind: type[Operator]) -> str:
    if kind is ops.Opaque:
        return "listed, not counted"
    if kind.call is not Operator.call:
        return "float, int8"
    return "float, rewritten" if kind.__name__ in REWRITTEN else "float"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
