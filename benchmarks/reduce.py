"""What `reduce` takes out of int8 models, and whether any output changes.

    python benchmarks/reduce.py --data DIR [--inputs N] [--images N]

For every int8 file of DIR/models/*/*.tflite: MACs and weights before and after, and how many output bytes of the
reduced model equal those of the original, on N random inputs, N inputs of ends of the range only, and the labelled
images of DIR where there are any; with these, the accuracy of the reduced model too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from reference import BATCH, TASKS, as_int8, int8_files
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--images", type=int, default=None)
    options = parser.parse_args()
    table = Table("model", "channels\nremoved", "MACs", "left", "weights", "left", "output bytes equal", "accuracy")
    for path, model in int8_files(options.data):
        table.add_row(*row(path, model, options))
    Console(width=140).print(table)


def row(path: Path, model: Model, options: argparse.Namespace) -> tuple[str, ...]:
    reduction = mj.reduce(model)
    values = reduction.to_json()
    rng = np.random.default_rng(0)
    shape = (options.inputs, *model.graph.inputs[0].shape)
    noise = rng.integers(-128, 128, shape, dtype=np.int8)
    inputs, labels = np.concatenate([noise, np.where(noise < 0, -128, 127).astype(np.int8)]), None
    if path.stem in TASKS:
        images, labels = (array[: options.images] for array in TASKS[path.stem].load(options.data))
        inputs = np.concatenate([as_int8(images), inputs])
    before, after = outputs(model, inputs), outputs(reduction.model, inputs)
    accuracy = "" if labels is None else f"{np.mean(after[: len(labels)].argmax(axis=1) == labels):.4f}"
    counts = (len(reduction.channels), *(values[name] for name in ("macs", "macs_left", "weights", "weights_left")))
    equal = f"{int(np.sum(before == after)):,} of {before.size:,}"
    return (f"{path.parent.name}/{path.stem}", *(f"{count:,}" for count in counts), equal, accuracy)


def outputs(model: Model, inputs: np.ndarray) -> np.ndarray:
    batch = BATCH if inputs[0].size < 100_000 else 2
    parts = [model.run(inputs[i : i + batch])[model.graph.outputs[0]] for i in range(0, len(inputs), batch)]
    return np.concatenate(parts).reshape(len(inputs), -1)


if __name__ == "__main__":
    main()
