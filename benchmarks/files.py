"""Every model file below DIR/models: what it costs, and what of it is not counted, or why it is refused.

    python benchmarks/files.py --data DIR

Parameters and MACs are `at least` (>=) where layers are not counted. Exit code 1 if anything but an error in one line
comes of a file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.load import load_structure
from millijoule.model import Model

SUFFIXES = (".bin", ".ckpt", ".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".tflite", ".th")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--width", type=int, default=180, help="of the table, in characters")
    options = parser.parse_args()
    table = Table("file", "kind", "layers", "parameters", "MACs", "not counted, or refused", show_edge=False)
    counts = {"counted": 0, "in part": 0, "refused": 0}
    files = [path for path in sorted((options.data / "models").rglob("*")) if path.suffix.lower() in SUFFIXES]
    for path in files:
        outcome, cells = row(path)
        counts[outcome] += 1
        table.add_row(str(path.relative_to(options.data / "models")), *cells)
    Console(width=options.width).print(table)
    print(f"{len(files)} files: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}")
    sys.exit(not files)


def row(path: Path) -> tuple[str, tuple[str, ...]]:
    """(counted, in part or refused; the cells after the file's name)."""
    try:
        network = load_structure(path)
    except mj.MillijouleError as error:
        return "refused", ("", "", "", "", str(error).removeprefix(f"{path}: "))
    costs = mj.cost(network)
    least = ">= " if costs.at_least else ""
    kind = "int8" if isinstance(network, Model) and network.is_int8 else "float"
    figures = (f"{least}{costs.params:,}", f"{least}{costs.macs:,}")
    return "in part" if costs.at_least else "counted", (kind, str(len(costs.layers)), *figures, costs.named_not_counted)


if __name__ == "__main__":
    main()
