"""What the options of `deploy` gain: compilers, their levels, dead channels, int16 weights, least RAM.

    python benchmarks/options.py --data DIR [--device NAME] [--models ad,ic,kws,vww]

The MLPerf Tiny models (DIR/models/mlperf_tiny) as firmware in the emulator, two random inputs, outputs compared with
the reference byte by byte: instructions, flash and RAM. Each line changes one option of the default (zig -O2, without
dead channels, for speed); ratios are to the default.
"""

import argparse
import tempfile
from pathlib import Path

from cortex_m import MODELS
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.report.deployment import Deployment

CHANGES: dict[str, dict[str, object]] = {
    "default": {},
    "-Os": {"level": "-Os"},
    "-O3": {"level": "-O3"},
    "gcc -O2": {"compiler": "gcc"},
    "gcc -Os": {"compiler": "gcc", "level": "-Os"},
    "gcc -O3": {"compiler": "gcc", "level": "-O3"},
    "--keep-dead-channels": {"keep_dead_channels": True},
    "--flash-for-speed": {"flash_for_speed": True},
    "--optimize ram": {"optimize": "ram"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="nucleo-l4r5zi")
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    table = Table("model", "option", "exact", "instructions", "", "flash", "", "arena", "", title=options.device)
    for name in options.models.split(","):
        model = mj.load(options.data / "models" / "mlperf_tiny" / MODELS[name])
        default: tuple[int, ...] = ()
        for title, change in CHANGES.items():
            with tempfile.TemporaryDirectory() as folder:
                made = mj.deploy(model, options.device, folder=Path(folder) / "out", samples=2, **change)
            figures = of(made)
            default = default or figures
            cells = [cell for a, b in zip(figures, default, strict=True) for cell in (f"{a:,}", f"{a / b:.2f}")]
            table.add_row(name, title, "yes" if made.bit_exact else "NO", *cells)
        table.add_section()
    Console(width=120).print(table)


def of(made: Deployment) -> tuple[int, int, int]:
    """Instructions, bytes of flash, bytes of the arena."""
    assert made.build is not None
    assert made.mean_instructions is not None
    return made.mean_instructions, made.build.flash_bytes, made.plan.arena_bytes


if __name__ == "__main__":
    main()
