"""Every network of the zoo, initialised as for training and run once in float on two random images.

    python benchmarks/zoo_run.py [NAME ...]

`size` is the root of the mean square of the outputs, whose inputs have 1; `apart` is the largest difference between the
two images' outputs, relative to the largest output. Exit code 1 if an output is not finite, or is the same for both.
"""

import argparse
import gc
import sys
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from millijoule import zoo
from millijoule.model import Model
from millijoule.train.initial import initial_weights
from millijoule.train.network import network_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks of the zoo (default: all)")
    options = parser.parse_args()

    table = Table(show_edge=False)
    for column in ("network", "initialise", "run", "size", "apart"):
        table.add_column(column, justify="left" if column == "network" else "right")
    failed = False
    for name in options.names or [entry.name for entry in zoo.entries()]:
        graph = zoo.get(name)
        images = np.random.default_rng(0).normal(size=(2, *graph.inputs[0].shape)).astype(np.float32)
        start = time.perf_counter()
        network = network_of(Model(graph, initial_weights(graph, seed=0)))
        initialised = time.perf_counter()
        with torch.inference_mode():
            values = network(torch.from_numpy(images))[graph.outputs[0]].flatten(1)
        run = time.perf_counter()
        size, apart = values.square().mean().sqrt(), (values[0] - values[1]).abs().max() / values.abs().max()
        failed |= not (bool(torch.isfinite(values).all()) and apart > 0)
        table.add_row(name, f"{initialised - start:.1f} s", f"{run - initialised:.1f} s", f"{size:.2g}", f"{apart:.2g}")
        del network
        gc.collect()
    Console(width=100).print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
