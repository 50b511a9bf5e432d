"""Deployments with made-up measurements, so that reports can be tested without a compiler or an emulator."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.cost import cost
from millijoule.cost.device import load_device
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, Conv2d, Dense, Flatten
from millijoule.plan import plan
from millijoule.report.deployment import Deployment
from millijoule.run.measurement import Build, Measurement
from tests.networks import random_int8, small_graph

SAMPLES = 20
ACCURACY = {"float": 0.98611, "int8_host": 0.98333, "int8_device": 0.98333}


def chain(layers: int, name: str = "chain") -> Graph:
    """Exactly that many layers, the last two a reshape and a dense layer; an addition after every third convolution."""
    build = Builder(name, (8, 8, 4))
    kept = build.input
    for index in range(layers - 2):
        if index % 4 == 3:
            kept = build(f"block{index}_add", Add(), kept, build.last)
        else:
            build(f"block{index}_convolution", Conv2d(channels=4, kernel=1))
    build("flatten", Flatten())
    build("classes", Dense(features=3))
    return build.graph()


def deployment(graph: Graph | None = None, device: str = "nucleo-f446re", **changes: Any) -> Deployment:
    """A deployment in which everything went well, with `changes` to its fields."""
    model = random_int8(graph or small_graph())
    graph = model.graph
    planned, costs, board = plan(model), cost(model), load_device(device)
    outputs = SAMPLES * prod(graph.shapes[graph.outputs[0]])
    is_board = board.kind == "mcu"
    instructions = {
        layer.name: 3 * layer.macs + 5 * prod(layer.output_shape)
        for layer, node in zip(costs.layers, graph.nodes, strict=True)
        if not node.op.alias
    }
    instructions["(run)"] = 1200
    total = sum(instructions.values())
    fields: dict[str, Any] = {
        "model": model,
        "plan": planned,
        "cost": costs,
        "device": board,
        "build": Build("firmware.elf", "clang 20.1.2", 61_234, planned.arena_bytes + 132, 9_000, 52_000, 100_000),
        "measurement": Measurement(
            device=device,
            emulator="unicorn 2.1.4 (cortex-m4)",
            outputs=np.zeros((SAMPLES, outputs // SAMPLES), np.int8),
            instructions=(total, *[total + 40] * (SAMPLES - 1)),
            layer_instructions=instructions,
            arena_bytes=planned.arena_bytes,
            stack_bytes=312,
            accesses={
                "arena": {"reads": 9_000, "writes": 1_200, "read_bytes": 10_000, "written_bytes": 1_200},
                "flash": {"reads": 8_000, "writes": 0, "read_bytes": 8_800, "written_bytes": 0},
            },
        ),
        "accuracy": ACCURACY,
        "outputs_compared": outputs,
        "outputs_equal": outputs,
        "folder": Path("small-nucleo-f446re-firmware"),
    }
    if not is_board:
        fields |= {"build": None, "measurement": None, "folder": Path("small-host-firmware")}
    return Deployment(**fields | changes)
