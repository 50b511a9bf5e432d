"""Processor seconds of planning streamed execution, for networks of up to a few hundred layers.

    python benchmarks/planning_speed.py [--data DIR] [--networks NAME …] [--kernels INSTRUCTIONS …]

Networks of the zoo, structure only, and int8 models of DIR/models with the working memory of their kernels: nodes,
processor seconds of `stream_plan` (one process; verification, loading and imports left out), seconds for 100 nodes, the
arena, what the chosen order of execution needs at least and what every order does, and the most bytes live layer by
layer. Bytes are the same on every computer; seconds are not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule import zoo
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes import simplify
from millijoule.passes.integer import fold_pads, reduce
from millijoule.plan.streaming import stream_plan, verify_stream
from millijoule.target import CONTRACTS, Target

NETWORKS = (
    "resnet56",
    "resnet110",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "efficientnet_lite0",
    "googlenet",
    "shufflenet_v2",
    "resnet50",
    "densenet121",
)
MODELS = (
    "mlperf_tiny/pretrainedResnet_quant",
    "mlperf_tiny/vww_96_int8",
    "mlperf_tiny/kws_ref_model",
    "tinyengine/vww",
    "google_coral/tf2_mobilenet_v2_1.0_224_ptq",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="plan int8 models of this folder too")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--kernels", nargs="*", choices=("scalar", "armv6m", "dsp"), default=["scalar", "dsp"])
    parser.add_argument("--inputs", nargs="*", choices=CONTRACTS, default=["overwrite", "push"])
    options = parser.parse_args()
    table = Table("network", "nodes", "input", "seconds", "for 100 nodes", "arena", "this order", "any order", "stored")
    for title, model, target in networks(options):
        nodes = len((model.graph if isinstance(model, Model) else model).nodes)
        for contract in options.inputs:
            start = time.process_time()
            planned = stream_plan(model, contract, target=target)
            seconds = time.process_time() - start
            print(f"{title}, {contract}: {seconds:.1f} s, {planned.arena_bytes:,} bytes", file=sys.stderr)
            verify_stream(model, planned)
            sizes = (planned.arena_bytes, planned.lower_bound_bytes, planned.floor_bytes, planned.stored_bytes)
            cells = (f"{seconds:.1f}", f"{seconds * 100 / nodes:.1f}", *(f"{size:,}" for size in sizes))
            table.add_row(title, str(nodes), contract, *cells)
    Console(width=140).print(table)


def networks(options: argparse.Namespace) -> Iterator[tuple[str, Model | Graph, Target]]:
    """(title, network, what its kernels are chosen for)."""
    for name in options.networks:
        yield name, simplify(zoo.get(name)), Target("scalar")
    for name in MODELS if options.data else ():
        model = mj.load(options.data / "models" / f"{name}.tflite")
        forms = {"": fold_pads(model), " reduced": reduce(model).model}
        for words, form in forms.items():
            for instructions in options.kernels:
                yield f"{name.split('/')[1]}{words}, {instructions}", form, Target(instructions)


if __name__ == "__main__":
    main()
