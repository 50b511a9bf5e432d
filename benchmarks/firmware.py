"""The four MLPerf Tiny models as firmware: bit-exactness, instructions, RAM and flash on host, M0+, M4, M7 and M55.

    python benchmarks/firmware.py --data DIR [--inputs N] [--compiler zig|gcc]

DIR/models/mlperf_tiny holds the int8 reference models of the repository mlcommons/tiny. Beside our instruction counts
stand those of CMSIS-NN called directly (DIR/tables/cmsis_nn_baseline.csv, its best exact build for that core), as a
ratio: below 1 is fewer. Outputs are compared with the integer reference, which equals TFLM (benchmarks/reference.py).
"""

import argparse
import csv
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import millijoule as mj

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--compiler", choices=("zig", "gcc"), default="zig")
    options = parser.parse_args()

    peers = best_of_peer(options.data / "tables" / "cmsis_nn_baseline.csv")
    table = Table("model", "device", "core", "bit-exact", "instructions", "/ CMSIS-NN", "RAM B", "stack B", "flash B")
    for model_name, file in MODELS.items():
        model = mj.load(options.data / "models" / "mlperf_tiny" / file)
        for core, device in DEVICES.items():
            with tempfile.TemporaryDirectory() as folder:
                result = mj.deploy(
                    model,
                    device,
                    folder=Path(folder) / "firmware",
                    compiler=options.compiler,
                    samples=options.inputs,
                ).to_json()
            instructions = result["instructions"]
            peer = peers.get((model_name, core))
            table.add_row(
                model_name,
                device,
                core,
                f"{'yes' if result['bit_exact'] else 'NO'} ({result['outputs_compared']})",
                f"{instructions:,}" if instructions else "",
                f"{instructions / peer:.2f}" if instructions and peer else "",
                *(f"{result[key]:,}" if result[key] else "" for key in ("ram_bytes", "stack_bytes", "flash_bytes")),
            )
    Console(width=120).print(table)


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
