"""The ONNX models of DIR against ONNX Runtime, and the accuracies of the quantized ones.

    python benchmarks/onnx_equality.py --data DIR [--images N] [--inputs N]

For every file of DIR/models/*/*.onnx: whether it loads, what is not counted, MACs, moves of numbers that are left
(Transpose and ChannelShuffle), and how its outputs compare with ONNX Runtime's (CPU) for N inputs: float models by the
largest difference, int8 models by how many numbers are equal once both are int8 and how many steps the others are off.
Where DIR has labelled data, int8 models get those as inputs and both runtimes' accuracies are given; ours is of the
integer reference, which the emitted C equals bit for bit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from reference import BATCH, cifar10, keyword_spotting, visual_wake_words
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.model import Model
from millijoule.ops import ChannelShuffle, Transpose
from millijoule.train.network import network_of


def pixels(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32)


def spectrograms(integers: np.ndarray) -> np.ndarray:
    """The published features are int8; the model's float input is what its TFLite twin's scale makes of them."""
    return (integers.astype(np.float32) - 83) * np.float32(0.5847029089927673)


# The labelled data of a quantized model, and its float input for them.
TASKS: dict[str, tuple[Callable[[Path], tuple[np.ndarray, np.ndarray]], Callable[[np.ndarray], np.ndarray]]] = {
    "resnet": (cifar10, pixels),
    "mobilenet_v1": (visual_wake_words, lambda images: images / np.float32(255)),
    "kws_ref_model": (keyword_spotting, spectrograms),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=None, help="labelled images for each accuracy (default: all)")
    parser.add_argument("--inputs", type=int, default=64, help="random inputs for each comparison")
    options = parser.parse_args()
    table = Table(
        "model", "loads", "not counted", "MACs", "moves", "against ONNX Runtime", "accuracy", "ONNX Runtime's"
    )
    for path in sorted((options.data / "models").glob("*/*.onnx")):
        print(f"{path.stem} …", file=sys.stderr)
        table.add_row(f"{path.parent.name}/{path.stem}", *row(path, options))
    Console(width=170).print(table)


def row(path: Path, options: argparse.Namespace) -> tuple[str, ...]:
    try:
        model = mj.load(path)
    except mj.MillijouleError as error:
        return (str(error).removeprefix(f"{path}: "),)
    graph, cost = model.graph, mj.cost(model)
    moves = sum(isinstance(node.op, Transpose | ChannelShuffle) for node in graph.nodes)
    first = (
        f"{'int8' if model.is_int8 else 'float'}, {len(graph.nodes)} nodes, {len(graph.outputs)} outputs",
        ", ".join(cost.not_counted) or "none",
        f"{cost.macs:,}",
        str(moves),
    )
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    # Without VNNI, ONNX Runtime's fast int8 products saturate on x64.
    settings.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), settings)
    if not model.is_int8:
        return (*first, compare_float(model, session, options.inputs), "", "")
    if path.stem not in TASKS:
        rng = np.random.default_rng(0)
        integers = rng.integers(-128, 128, (options.inputs, *graph.inputs[0].shape), dtype=np.int8)
        assert model.quantization is not None
        reals = model.quantization[graph.inputs[0].name].dequantize(integers)
        return (*first, agreement(*answers(model, session, reals)), "", "")
    load, to_float = TASKS[path.stem]
    images, labels = (array[: options.images] for array in load(options.data))
    ours, theirs = answers(model, session, to_float(images))
    right = [f"{np.mean(each.argmax(axis=1) == labels):.4f}" for each in (ours, theirs)]
    return (*first, agreement(ours, theirs), *right)


def compare_float(model: Model, session: onnxruntime.InferenceSession, count: int) -> str:
    import torch

    entry = session.get_inputs()[0]
    rng, network = np.random.default_rng(0), network_of(model)
    largest = relative = 0.0
    for _ in range(min(count, 4)):
        x = rng.standard_normal(entry.shape, np.float32)
        with torch.inference_mode():
            found = network(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))))
        for name, theirs in zip(model.graph.outputs, session.run(None, {entry.name: x}), strict=True):
            difference = float(np.abs(found[name].numpy().reshape(-1) - theirs.reshape(-1)).max())
            largest, relative = max(largest, difference), max(relative, difference / float(np.abs(theirs).max()))
    return f"within {largest:.1e} ({relative:.1e} of the largest number)"


def answers(model: Model, session: onnxruntime.InferenceSession, reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, classes) int8 of the integer reference and of ONNX Runtime, whose floats are rounded to the same scale."""
    assert model.quantization is not None
    entry, output = session.get_inputs()[0], model.graph.outputs[0]
    shape = model.graph.inputs[0].shape
    scale = model.quantization[model.graph.inputs[0].name]
    ours, theirs = [], []
    for start in range(0, len(reals), BATCH):
        part = reals[start : start + BATCH]
        ours.append(model.run(scale.quantize(part).reshape(len(part), *shape))[output].reshape(len(part), -1))
        for x in part:
            x = x.transpose(2, 0, 1) if len(entry.shape) == 4 and entry.shape[1] == shape[-1] else x
            theirs.append(session.run(None, {entry.name: x.reshape(entry.shape)})[0].reshape(-1))
    return np.concatenate(ours), model.quantization[output].quantize(np.stack(theirs))


def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    steps = np.abs(ours.astype(int) - theirs)
    same = np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1))
    return (
        f"{np.mean(steps == 0):.1%} of {steps.size:,} equal, {np.mean(steps <= 1):.1%} within 1 step, at most "
        f"{steps.max()}; {same:.2%} the same class"
    )


if __name__ == "__main__":
    main()
