"""What it took a training to reach an accuracy for the first time.

    python benchmarks/time_to_accuracy.py RUN [RUN ...] [--levels 0.85 0.9 0.92 0.94]

RUN: the folder of a training (`millijoule train --out`). Accuracies are those of its held-out images, looked at after
each epoch. Seconds are of training, CPU seconds of all cores; evaluations are not counted.
"""

import argparse
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.table import Table

from millijoule.train.run_folder import read_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--levels", nargs="+", type=float, default=[0.85, 0.9, 0.92, 0.94])
    options = parser.parse_args()

    table = Table()
    for column in ("run", "accuracy", "epoch", "images", "CPU seconds", "seconds"):
        table.add_column(column, justify="left" if column == "run" else "right")
    for run in options.runs:
        epochs = read_metrics(run)
        if not epochs:
            parser.error(f"'{run}' has no record of a training: give a folder that `millijoule train --out` made")
        cpu_seconds = list(accumulate(epoch.training_cpu_seconds for epoch in epochs))
        seconds = list(accumulate(epoch.training_seconds for epoch in epochs))
        for level in options.levels:
            found = next((index for index, epoch in enumerate(epochs) if epoch.accuracy >= level), None)
            if found is None:
                best = max(epoch.accuracy for epoch in epochs)
                table.add_row(run.name, f"{level:.0%}", f"not in {len(epochs)} (best {best:.1%})")
                continue
            epoch = epochs[found]
            figures = (f"{epoch.epoch} of {len(epochs)}", f"{epoch.images:,}")
            table.add_row(run.name, f"{level:.0%}", *figures, f"{cpu_seconds[found]:,.0f}", f"{seconds[found]:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
