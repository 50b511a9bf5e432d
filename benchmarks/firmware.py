"""MLPerf Tiny's models, or all int8 model files, as firmware: bit-exactness, instructions, RAM and flash.

    python benchmarks/firmware.py --data DIR [--inputs N] [--compiler zig|gcc] [--all]

DIR/models/mlperf_tiny holds the int8 reference models of the repository mlcommons/tiny; they run on the host,
Cortex-M0+, M4, M7 and M55. Beside our instruction counts stand those of CMSIS-NN called directly
(DIR/tables/cmsis_nn_baseline.csv, its best exact build for that core), as a ratio: below 1 is fewer. Outputs are
compared with the integer reference, which equals TFLM (benchmarks/reference.py).

--all: instead, every int8 TFLite and ONNX file below DIR/models, on the first device of NUCLEO-L4R5ZI (Cortex-M4),
Corstone-300 and Alif Ensemble E7 (both Cortex-M55) that it fits, or why it is refused.
"""

import argparse
import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.load import load_structure
from millijoule.model import Model

MODELS = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}
DEVICES = {
    "host": "host",
    "m0p": "nucleo-g0b1re",
    "m4": "nucleo-l4r5zi",
    "m7": "nucleo-h743zi",
    "m55": "corstone-300",
}
ROOMIER = ("nucleo-l4r5zi", "corstone-300", "alif-ensemble-e7")
"""What --all tries, one after the other."""
SUFFIXES = (".tflite", ".onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--compiler", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    figures = Figures(options.compiler, options.inputs)
    Console(width=150).print(of_files(options.data, figures) if options.all else beside_peer(options.data, figures))


class Figures:
    """What `deploy` says of a model on a device."""

    def __init__(self, compiler: str, inputs: int) -> None:
        self.compiler, self.inputs = compiler, inputs

    def of(self, model: Model, device: str) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "firmware"
            return mj.deploy(model, device, folder=place, compiler=self.compiler, samples=self.inputs).to_json()


def beside_peer(data: Path, figures: Figures) -> Table:
    peers = best_of_peer(data / "tables" / "cmsis_nn_baseline.csv")
    table = Table("model", "device", "core", "bit-exact", "instructions", "/ CMSIS-NN", "RAM B", "stack B", "flash B")
    for model_name, file in MODELS.items():
        model = mj.load(data / "models" / "mlperf_tiny" / file)
        for core, device in DEVICES.items():
            result = figures.of(model, device)
            exact, instructions, *bytes_ = cells(result)
            peer = peers.get((model_name, core))
            ratio = f"{result['instructions'] / peer:.2f}" if result["instructions"] and peer else ""
            table.add_row(model_name, device, core, exact, instructions, ratio, *bytes_)
    return table


def of_files(data: Path, figures: Figures) -> Table:
    table = Table("file", "device", "bit-exact", "instructions", "RAM B", "stack B", "flash B", "refused")
    for path in sorted(path for path in (data / "models").rglob("*") if path.suffix in SUFFIXES):
        name = str(path.relative_to(data / "models"))
        try:
            if not (isinstance(structure := load_structure(path), Model) and structure.is_int8):
                continue
            device, result = first_that_fits(mj.load(path), figures)
        except mj.MillijouleError as error:
            table.add_row(name, *[""] * 6, str(error).splitlines()[0].removeprefix(f"{path}: "))
            continue
        table.add_row(name, device, *cells(result), "")
    return table


def first_that_fits(model: Model, figures: Figures) -> tuple[str, Mapping[str, Any]]:
    for device in ROOMIER[:-1]:
        try:
            return device, figures.of(model, device)
        except mj.errors.DoesNotFit:
            continue
    return ROOMIER[-1], figures.of(model, ROOMIER[-1])


def cells(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Bit-exactness, with the numbers compared; instructions; RAM, stack and flash."""
    exact = f"{'yes' if result['bit_exact'] else 'NO'} ({result['outputs_compared']:,})"
    keys = ("instructions", "ram_bytes", "stack_bytes", "flash_bytes")
    return exact, *(f"{result[key]:,}" if result[key] else "" for key in keys)


def best_of_peer(path: Path) -> dict[tuple[str, str], int]:
    """(model, core) → the fewest instructions of any bit-exact CMSIS-NN build."""
    best: dict[tuple[str, str], int] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["method"] == "cmsisnn-direct" and row["exact"] == "True":
                key = row["model"], row["cpu"]
                best[key] = min(best.get(key, 1 << 62), int(row["insns"]))
    return best


if __name__ == "__main__":
    main()
