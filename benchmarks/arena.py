"""Our arena beside TFLM's, for the four MLPerf Tiny models.

    python benchmarks/arena.py --data DIR

DIR/models/mlperf_tiny holds the int8 reference models of the repository mlcommons/tiny, and
DIR/tables/cmsis_nn_baseline.csv the arenas of firmware: TFLM with CMSIS-NN kernels on a Cortex-M4, and CMSIS-NN called
directly. Bytes, input and output included.

TFLM is asked twice (PyPI tflite-micro, on this computer). `values`: what its recording allocator calls the head, the
values between the layers and working memory: the like of our arena. `whole`: the smallest arena with which its
interpreter starts, found by bisection: values and the interpreter's own records, which our firmware does not have. A
ratio is theirs / ours: above 1, ours is smaller.
"""

import argparse
import csv
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from tflite_micro.python.tflite_micro import runtime

import millijoule as mj
from millijoule.plan import verify

MODELS = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()

    firmware = firmware_arenas(options.data / "tables" / "cmsis_nn_baseline.csv")
    table = Table(box=SIMPLE_HEAD)
    for column in (
        "model",
        "millijoule",
        "lower\nbound",
        "TFLM,\nvalues",
        "ratio",
        "TFLM,\nwhole",
        "ratio",
        "TFLM, M4\nfirmware",
        "ratio",
        "CMSIS-NN, M4\nfirmware",
        "ratio",
    ):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, file in MODELS.items():
        path = options.data / "models" / "mlperf_tiny" / file
        model = mj.load(path)
        planned = mj.plan(model)
        verify(model, planned)
        content = path.read_bytes()
        peers = (
            tflm_values(content),
            tflm_whole(content),
            firmware["tflm", name],
            firmware["cmsisnn-direct", name],
        )
        cells = [text for peer in peers for text in (f"{peer:,}", f"{peer / planned.arena_bytes:.2f}")]
        table.add_row(name, f"{planned.arena_bytes:,}", f"{planned.lower_bound_bytes:,}", *cells)
    console = Console(width=120)
    console.print(table)
    console.print(
        f"Bytes. millijoule {mj.__version__}, tflite-micro {version('tflite-micro')}; firmware arenas from "
        "cmsis_nn_baseline.csv (gcc 12.2).",
        highlight=False,
    )


def tflm_values(model: bytes) -> int:
    """Bytes of the head of TFLM's arena after an inference, as its recording allocator prints them."""
    interpreter = runtime.Interpreter.from_bytes(model)
    entry = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(entry["shape"], entry["dtype"]), 0)
    interpreter.invoke()
    with native_stderr() as lines:
        interpreter.print_allocations()
    found = re.search(r"Arena allocation head (\d+) bytes", "".join(lines))
    if found is None:
        sys.exit("error: TFLM printed no size of its arena's head")
    return int(found[1])


def tflm_whole(model: bytes) -> int:
    """The smallest arena with which TFLM's interpreter allocates its values and itself."""

    def starts(arena_bytes: int) -> bool:
        try:
            runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        except RuntimeError:
            return False
        return True

    too_small, enough = 0, 1 << 23
    with native_stderr():
        while enough - too_small > 1:
            middle = (too_small + enough) // 2
            if starts(middle):
                enough = middle
            else:
                too_small = middle
    return enough


@contextmanager
def native_stderr() -> Iterator[list[str]]:
    """What C code prints to stderr inside the block, once it has ended."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.readlines()


def firmware_arenas(path: Path) -> dict[tuple[str, str], int]:
    """(method, model) → bytes of the arena on a Cortex-M4; the smallest, where builds differ."""
    arenas: dict[tuple[str, str], int] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["cpu"] == "m4" and row["exact"] == "True" and row["arena"]:
                key = row["method"], row["model"]
                arenas[key] = min(arenas.get(key, 1 << 62), int(row["arena"]))
    return arenas


if __name__ == "__main__":
    main()
