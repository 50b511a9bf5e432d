"""Training speed beside an ordinary PyTorch loop: the same network, batch, data, rate and number of epochs, in turn.

    python benchmarks/training_speed.py --data cifar10.npz [--network resnet8] [--epochs 1] [--images 10000]
        [--compiled] [--first-size 0.5] [--seed 0]

The ordinary loop: float32, eager, maps in torch's default layout, `DataLoader` with two workers that augment image by
image (padded crop, mirror, normalise), torch.optim.SGD with momentum. Ours: `millijoule.train` with the same settings,
the precision as it chooses itself; once more with torch.compile if --compiled is given, and with images that grow from
--first-size to full size if that is given: an image counts as one then too, though most are smaller. Evaluation is not
timed.
Both have the same number of threads. Wall time depends on what else the machine does, so CPU time of the process and
its workers stands beside it; on a busy machine threads wait for each other: give --threads 1 and compare CPU times.
Accuracies are on the test images; the ordinary network is torch.nn's, built from the same graph.
"""

import argparse
import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.ops import Add, BatchNorm, Conv2d, Dense, Flatten, GlobalAveragePool, MaxPool2d, Pad, Relu, Softmax
from millijoule.train import Dataset, accuracy
from millijoule.train.initial import initial_weights
from millijoule.train.prepare import measure_preprocess

BATCH, RATE, SHIFT = 128, 0.1, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="resnet8")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--first-size", type=float, help="also with images that begin at this share of full size")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation, for both")
    parser.add_argument("--threads", type=int, help="of torch, for both (default: torch's own choice)")
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    data = mj.load_data(options.data)
    data = replace(data, x_train=data.x_train[: options.images], y_train=data.y_train[: options.images])
    graph = mj.zoo.get(options.network, classes=len(data.classes), input_shape=data.x_train.shape[1:])
    table = Table("loop", "images/s", "images/CPU-s", "seconds", "CPU s", "test accuracy")
    how: dict[str, dict[str, Any]] = {"ours": {}}
    if options.compiled:
        how["ours, compiled"] = {"compiled": True}
    if options.first_size:
        how[f"ours, images growing from {options.first_size:g}"] = {"first_size": options.first_size}
    rows = [("PyTorch, ordinary", *ordinary(graph, data, options.epochs, options.seed))]
    rows += [(name, *ours(graph, data, options.epochs, options.seed, **changes)) for name, changes in how.items()]
    count = options.epochs * len(data.x_train)
    for name, seconds, cpu, score in rows:
        table.add_row(
            name, f"{count / seconds:,.0f}", f"{count / cpu:,.0f}", f"{seconds:.1f}", f"{cpu:.1f}", f"{score:.2%}"
        )
    console = Console(width=100)
    console.print(table)
    for name, seconds, cpu, _ in rows[1:]:
        console.print(f"{name}: {rows[0][1] / seconds:.2f} x in wall time, {rows[0][2] / cpu:.2f} x in CPU time")
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")


def cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def ours(graph: mj.Graph, data: Dataset, epochs: int, seed: int, **changes: Any) -> tuple[float, float, float]:
    """(seconds, CPU seconds, test accuracy). The first epoch of a compiled network holds the compilation."""
    taken: list[tuple[float, float]] = []
    model = mj.train(
        graph,
        data,
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=5e-4,
        schedule="cosine",
        warm_up=0.0,
        shift=SHIFT,
        flip=True,
        validation=0.0,
        keep="last",
        seed=seed,
        progress=False,
        must_learn=False,
        on_epoch=lambda epoch: taken.append((epoch.training_seconds, epoch.training_cpu_seconds)),
        **changes,
    )
    seconds, cpu = (sum(column) for column in zip(*taken, strict=True))
    return seconds, cpu, accuracy(model, data.x_test, data.y_test)


class Images(torch.utils.data.Dataset):
    """Image by image, as tutorials do it."""

    def __init__(self, data: Dataset, mean: float, std: float) -> None:
        self.x, self.y, self.mean, self.std = data.x_train, data.y_train, mean, std

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.from_numpy(self.x[index]).permute(2, 0, 1).float().div(255)
        image = (image - self.mean) / self.std
        height, width = image.shape[1:]
        top, left = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
        image = torch.nn.functional.pad(image, (SHIFT,) * 4)[:, top : top + height, left : left + width]
        return image.flip(2) if torch.rand(1) < 0.5 else image, int(self.y[index])


class Ordinary(torch.nn.Module):
    """The graph in torch.nn's modules, in torch's own layout."""

    def __init__(self, graph: mj.Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = torch.nn.ModuleList(layer(graph, node) for node in graph.nodes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self.graph.inputs[0].name: x}
        for node, module in zip(self.graph.nodes, self.layers, strict=True):
            values[node.name] = module(*(values[name] for name in node.inputs))
        return values[self.graph.outputs[0]]


class Sum(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


def layer(graph: mj.Graph, node: mj.Node) -> torch.nn.Module:
    """torch.nn's own module, where it has one; else ours."""
    nn, op = torch.nn, node.op
    shape = graph.input_shapes(node)[0]
    if isinstance(op, Conv2d) and op.activation == "none":
        (top, bottom), (left, right) = op.window(shape).padding
        conv = nn.Conv2d(shape[2], op.channels, op.kernel, op.stride, (top, left), groups=op.groups, bias=op.bias)
        if (top, left) == (bottom, right):
            return conv
        conv.padding = (0, 0)
        return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)
    if isinstance(op, Dense) and op.activation == "none":
        return nn.Linear(int(np.prod(shape)), op.features)
    if isinstance(op, BatchNorm):
        return nn.BatchNorm2d(shape[2], op.epsilon, op.momentum)
    if isinstance(op, GlobalAveragePool):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if isinstance(op, Add):
        return Sum()
    plain = {Relu: nn.ReLU, Softmax: nn.Identity, Flatten: nn.Flatten}  # the loss holds the softmax
    if type(op) in plain:
        return plain[type(op)]()
    if isinstance(op, Pad | MaxPool2d):
        return op.module(shape)
    raise SystemExit(f"{graph.name}: no ordinary layer for {type(op).__name__} is known here")


def ordinary(graph: mj.Graph, data: Dataset, epochs: int, seed: int) -> tuple[float, float, float]:
    """(seconds, CPU seconds, test accuracy)."""
    preprocess = measure_preprocess(data.x_train, graph.inputs[0].shape)
    mean, std = preprocess["mean"][0], preprocess["std"][0]
    torch.manual_seed(seed)
    network = Ordinary(graph)
    start_like_ours(graph, network, seed)
    loader = torch.utils.data.DataLoader(Images(data, mean, std), BATCH, shuffle=True, num_workers=2)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    network.train()
    start, cpu = time.monotonic(), cpu_seconds()
    for _ in range(epochs):
        for images, labels in loader:
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu
    network.eval()
    right = 0
    with torch.inference_mode():
        for start_index in range(0, len(data.x_test), 500):
            part = slice(start_index, start_index + 500)
            x = (torch.from_numpy(data.x_test[part]).permute(0, 3, 1, 2).float() / 255 - mean) / std
            right += int((network(x).argmax(1).numpy() == data.y_test[part]).sum())
    return seconds, cpu, right / len(data.x_test)


def start_like_ours(graph: mj.Graph, network: Ordinary, seed: int) -> None:
    """The same numbers to begin with, so that accuracies can be compared."""
    weights = initial_weights(graph, seed)
    for node, module in zip(graph.nodes, network.layers, strict=True):
        if isinstance(node.op, Conv2d):
            module = module[1] if isinstance(module, torch.nn.Sequential) else module
            module.weight.data = torch.from_numpy(weights[f"{node.name}.weight"].transpose(0, 3, 1, 2).copy())
        elif isinstance(node.op, Dense):
            module.weight.data = torch.from_numpy(weights[f"{node.name}.weight"].copy())
        if isinstance(node.op, Conv2d | Dense) and node.op.bias:
            module.bias.data = torch.zeros_like(module.bias)


if __name__ == "__main__":
    main()
