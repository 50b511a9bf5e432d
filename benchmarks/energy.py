"""How far off predictions of latency and energy are: cross-validation on published measurements.

    python benchmarks/energy.py [--json]

The measurements are the tables of millijoule/energy/data: MLPerf Tiny v0.5 to v1.3 (Cortex-M), MLPerf Inference v1.0
and v2.0 (Linux boards), and Eyeriss's layers (JSSC 2017). Each prediction is made again without what it should predict:
whole submissions, whole (stack, board) pairs, whole boards or whole networks, never single rows. Errors are |predicted
/ true - 1|. `held`: how often the 90 % interval, made from the errors of all other groups, held the measured value;
`groups`: how many were left out in turn. Constants of the predictions were chosen on the same rows, so that small
differences mean nothing; rows that are forward in time use nothing that was published later.
"""

import argparse
import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from millijoule.energy.fitted.intervals import Summary, summarise
from millijoule.energy.fitted.questions import QUESTIONS, Question
from millijoule.energy.hierarchy import array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    answers = [(question, summarise(question.errors())) for question in QUESTIONS]
    if options.json:
        print(json.dumps([{"question": each.text.strip(), **asdict(found)} for each, found in answers], indent=2))
        return
    columns = ("", "left out", "rows", "groups", "mean", "median", "90 %", "worst", "held", "target", "")
    table = Table(*columns, title="Error of predictions, %")
    for question, found in answers:
        coverage = "" if found.coverage is None else f"{100 * found.coverage:.0f}"
        table.add_row(
            *(question.text, question.left_out, str(found.count), str(found.groups)),
            *(f"{100 * value:.1f}" for value in (found.mean, found.median, found.p90, found.worst)),
            *(coverage, *target(question, found)),
        )
    Console(width=170).print(table)
    Console(width=170).print(eyeriss())


def eyeriss() -> Table:
    """Each layer that was measured on Eyeriss beside what is predicted of it, the other network known."""
    figures = ("energy, mJ", "buffer, MB", "DRAM, MB")
    columns = ("layer", *(f"{figure}{what}" for figure in figures for what in ("", " predicted", " off by, %")))
    table = Table(*columns, title="Eyeriss, layer by layer, a batch")
    for row, found in zip(array.measured(), array.predicted(), strict=True):
        pairs = (
            (row.run.energy_mj, found.energy_mj),
            (row.run.buffer_mb, found.buffer_bytes / 1e6),
            (row.run.dram_mb, found.dram_bytes / 1e6),
        )
        cells = [(f"{true:.1f}", f"{value:.1f}", f"{100 * (value / true - 1):+.1f}") for true, value in pairs]
        table.add_row(f"{row.run.network} {row.run.layer}", *(cell for three in cells for cell in three))
    return table


def target(question: Question, found: Summary) -> tuple[str, str]:
    """The target, and whether it is reached to 0.1 %."""
    if not any(question.target):
        return "", ""
    pairs = list(zip(question.target, (found.mean, found.median, found.p90), strict=True))
    stated = " / ".join("-" if wanted is None else f"{100 * wanted:g}" for wanted, _ in pairs)
    missed = [f"{100 * value:.1f}" for wanted, value in pairs if wanted and round(value, 3) > wanted]
    return stated, f"missed: {', '.join(missed)}" if missed else "reached"


if __name__ == "__main__":
    main()
