"""The networks of the zoo against those of torchvision, timm, pytorchcv and Keras, given the same weights.

    python benchmarks/zoo_equality.py [NAME ...] [--images N]

Needs torchvision 0.29, and timm, pytorchcv and keras (3, its torch backend is used) for what torchvision does not
define; no weights are downloaded. Theirs is initialised at random. Batch-norm statistics are those of a batch of noise,
each then moved at random, so that an operator that is missing, misplaced or has another epsilon or padding shows. The
numbers are copied into ours in the order in which layers run, and both compute the same N images in float64 (Keras
computes parts of its own in float32).

The difference is the largest of |ours - theirs|, relative to the largest |theirs| less the mean; `spread` is the
standard deviation of theirs between images, relative to the same: where it is near 0, equality would mean little. Exit
code 1 if a difference is above 1e-4.
"""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from zoo_theirs import (
    Arrays,
    Build,
    inception_head,
    keras_network,
    noise,
    paper_heads,
    pool_first,
    pytorchcv_network,
    shortcuts_last,
    stride_in_1x1,
    timm_network,
    torchvision_network,
)

from millijoule import zoo
from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import Dense, Flatten
from millijoule.train.network import network_of

LIMIT = 1e-4


@dataclass(frozen=True)
class Pair:
    """theirs: builds the other network. note: where the two are known to differ, and what the check does about it."""

    name: str
    package: str
    theirs: Build
    arguments: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks of the zoo (default: all)")
    parser.add_argument("--images", type=int, default=2)
    options = parser.parse_args()

    table = Table(show_edge=False)
    for column in ("network", "package", "layers", "outputs", "difference", "spread", "note"):
        table.add_column(column, justify="right" if column in ("layers", "outputs", "difference", "spread") else "left")
    worst = 0.0
    for pair in PAIRS:
        if options.names and pair.name not in options.names:
            continue
        layers, outputs, difference, spread = compare(pair, options.images)
        worst = float(np.maximum(worst, difference))
        arguments = ", ".join(f"{name}={value!r}" for name, value in pair.arguments.items())
        title = f"{pair.name}({arguments})" if arguments else pair.name
        row = (title, pair.package, str(layers), str(outputs), f"{difference:.1e}", f"{spread:.2f}", pair.note)
        table.add_row(*row)
        print(*row, file=sys.stderr, flush=True)
        gc.collect()
    Console(width=140).print(table)
    sys.exit(not 0 < worst <= LIMIT)  # not a number fails too


def compare(pair: Pair, images: int) -> tuple[int, int, float, float]:
    """(layers with numbers, outputs, largest relative difference, spread)."""
    graph = zoo.get(pair.name, **pair.arguments)
    random = np.random.default_rng(0)
    theirs = pair.theirs(random, graph.inputs[0].shape)
    batch = noise(random, images, graph.inputs[0].shape)
    model = Model(graph, copied(graph, theirs.layers))
    network = network_of(model).double()
    with torch.inference_mode():
        found = network(torch.from_numpy(batch))
    difference, spread = 0.0, 1.0
    for output, expected in zip(graph.outputs, theirs.answer(batch), strict=True):
        scale = np.abs(expected - expected.mean()).max()
        difference = float(np.maximum(difference, np.abs(found[output].numpy() - expected).max() / scale))
        spread = min(spread, float(expected.std(axis=0).mean() / scale))
    return len(theirs.layers), len(graph.outputs), difference, spread


def copied(graph: Graph, layers: list[Arrays]) -> Arrays:
    """Our weights from theirs, layer by layer."""
    nodes = [node for node in graph.nodes if node.op.params(*graph.input_shapes(node))]
    if len(nodes) != len(layers):
        raise SystemExit(f"{graph.name}: ours has {len(nodes)} layers with numbers, theirs {len(layers)}")
    weights = {}
    for node, arrays in zip(nodes, layers, strict=True):
        arrays = in_our_order(graph, node, arrays)
        params = node.op.params(*graph.input_shapes(node))
        ours, other = {n: p.shape for n, p in params.items()}, {n: a.shape for n, a in arrays.items()}
        if ours != other:
            raise SystemExit(f"{graph.name}: layer '{node.name}' has {ours}, theirs {other}")
        weights |= {f"{node.name}.{name}": np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return weights


def in_our_order(graph: Graph, node: Node, arrays: Arrays) -> Arrays:
    """A dense layer behind a map reads it as (height, width, channels); torch flattens (channels, height, width).

    Keras writes some last layers as a 1x1 convolution.
    """
    if isinstance(node.op, Dense):
        arrays = arrays | {"weight": arrays["weight"].reshape(len(arrays["weight"]), -1)}
    producer = node.inputs[0]
    while producer in graph.by_name and graph.shapes[producer] == graph.input_shapes(node)[0]:
        if isinstance(graph.by_name[producer].op, Flatten) and "channels_first" in arrays:
            height, width, channels = graph.input_shapes(graph.by_name[producer])[0]
            weight = arrays["weight"].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            arrays = arrays | {"weight": weight.reshape(len(weight), -1)}
        producer = graph.by_name[producer].inputs[0]
    return {name: array for name, array in arrays.items() if name != "channels_first"}


PAIRS = (
    Pair("alexnet_torchvision", "torchvision", torchvision_network("alexnet")),
    *(Pair(name, "torchvision", torchvision_network(name)) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
    Pair("googlenet_torchvision", "torchvision", torchvision_network("googlenet", aux_logits=False, init_weights=True)),
    Pair(
        "googlenet_torchvision",
        "torchvision",
        torchvision_network("googlenet", paper_heads, init_weights=True),
        {"auxiliary": True},
        "theirs with the paper's 5x5 pool before the heads",
    ),
    Pair("inception_v3", "torchvision", torchvision_network("inception_v3", aux_logits=False, init_weights=True)),
    Pair(
        "inception_v3",
        "torchvision",
        torchvision_network("inception_v3", inception_head, init_weights=True),
        {"auxiliary": True},
    ),
    *(
        Pair(name, "torchvision", torchvision_network(name))
        for name in (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "densenet121",
            "densenet169",
            "densenet201",
            "squeezenet1_0",
            "squeezenet1_1",
            "mobilenet_v2",
            "mobilenet_v3_large",
            "mobilenet_v3_small",
        )
    ),
    *(
        Pair(
            name,
            "torchvision",
            torchvision_network(name, change=stride_in_1x1),
            {"stride_in": "1x1"},
            "theirs with the strides exchanged",
        )
        for name in ("resnet50", "resnet152")
    ),
    *(
        Pair("shufflenet_v2", "torchvision", torchvision_network(name), {"width": width})
        for name, width in (
            ("shufflenet_v2_x0_5", 0.5),
            ("shufflenet_v2_x1_0", 1.0),
            ("shufflenet_v2_x1_5", 1.5),
            ("shufflenet_v2_x2_0", 2.0),
        )
    ),
    Pair("inception_resnet_v2", "timm", timm_network("inception_resnet_v2")),
    Pair("efficientnet_lite0", "timm", timm_network("tf_efficientnet_lite0")),
    *(
        Pair(
            "shufflenet_v1",
            "pytorchcv",
            pytorchcv_network(f"shufflenet_g{groups}_w1", pool_first),
            {"groups": groups},
            "theirs with the pool before the branch",
        )
        for groups in (1, 2, 3, 4, 8)
    ),
    Pair("proxylessnas_mobile", "pytorchcv", pytorchcv_network("proxylessnas_mobile")),
    Pair("xception", "Keras", keras_network("Xception", order=shortcuts_last)),
    Pair("mobilenet_v1", "Keras", keras_network("MobileNet", bounded=False), note="theirs with ReLU for ReLU6"),
)

if __name__ == "__main__":
    main()
