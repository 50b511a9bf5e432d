"""What `export` writes, run by other tools and loaded again.

    python benchmarks/exchange.py [--data DIR] [--inputs N] [--only zoo|int8|files] [--networks NAME …]

zoo: every network of the zoo with random weights as float ONNX: the largest difference between torch's outputs and ONNX
Runtime's, and between torch's before and after loading the file again, both relative to the largest output. Networks of
more than 3e9 MACs or 30e6 parameters take smaller images where their structure allows it.

int8: the same networks quantized, on the smallest images that they take, as TFLite and as QDQ ONNX: how many output
bytes TFLM gives as the model does, how many ONNX Runtime gives of the QDQ form and how often both name one class, and
whether both files load again bit for bit. Without a final softmax: shares of a thousand classes would all be one byte.

files: the same of every int8 file of DIR/models/*/*.tflite, exported again. Inputs are N of the labelled ones of DIR
where there are any, else random; of the zoo, a few random ones.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from reference import TASKS, as_int8, int8_files
from rich.console import Console
from rich.table import Table
from tflite_micro.python.tflite_micro import runtime

import millijoule as mj
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops import Softmax
from millijoule.train.initial import initial_weights
from millijoule.train.network import predict

LARGE_MACS, LARGE_PARAMS = 3_000_000_000, 30_000_000
SMALLER = (96, 128, 160)
SMALLEST = (32, 64, *SMALLER, 224)
ZOO_INPUTS = 4
INT8_COLUMNS = ("TFLM\nbytes equal", "loaded\nagain", "ONNX Runtime\nbytes equal", "same\nclass", "loaded\nagain")
ARENA_BYTES = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--only", choices=("zoo", "int8", "files"))
    parser.add_argument("--networks", nargs="+", default=[entry.name for entry in mj.zoo.entries()])
    options = parser.parse_args()
    modes = (options.only,) if options.only else ("zoo", "int8", *(["files"] if options.data else []))
    entries = [entry for entry in mj.zoo.entries() if entry.name in options.networks]
    print(f"ONNX Runtime {onnxruntime.__version__}, CPU, one thread; TFLM of PyPI's tflite-micro")
    if "zoo" in modes:
        table = Table("network", "input", "ONNX Runtime", "loaded again")
        for entry in entries:
            print(f"{entry.name} …", file=sys.stderr)
            table.add_row(entry.name, *zoo_row(at_most_large(entry)))
        Console(width=120).print(table)
    if "int8" in modes:
        table = Table("network", "input", *INT8_COLUMNS)
        for entry in entries:
            print(f"{entry.name} as int8 …", file=sys.stderr)
            table.add_row(entry.name, *int8_zoo_row(smallest(entry)))
        Console(width=160).print(table)
    if "files" in modes:
        table = Table("model", *INT8_COLUMNS)
        for path, model in int8_files(options.data):
            table.add_row(f"{path.parent.name}/{path.stem}", *file_row(path, model, options))
        Console(width=140).print(table)


def at_most_large(entry: mj.zoo.Entry) -> Graph:
    graph = entry.function()
    cost = mj.cost(graph)
    return smaller(entry, SMALLER) if cost.macs > LARGE_MACS or cost.params > LARGE_PARAMS else graph


def smallest(entry: mj.zoo.Entry) -> Graph:
    """The network for the smallest images that it takes, without a final softmax."""
    graph = smaller(entry, SMALLEST)
    *nodes, last = graph.nodes
    if not isinstance(last.op, Softmax):
        return graph
    return replace(graph, nodes=tuple(nodes), outputs=last.inputs)


def smaller(entry: mj.zoo.Entry, sizes: tuple[int, ...]) -> Graph:
    """The network for the first of the sizes that it takes and that is less than its own, or as it is."""
    graph = entry.function()
    height, *_, channels = graph.inputs[0].shape if len(graph.inputs[0].shape) == 3 else (0, 0)
    for size in sizes if "input_shape" in entry.arguments else ():
        if size < height:
            with contextlib.suppress(mj.MillijouleError):
                return entry.function(input_shape=(size, size, channels))
    return graph


def int8_zoo_row(graph: Graph) -> tuple[str, ...]:
    shape = graph.inputs[0].shape
    size, random = "x".join(map(str, shape)), np.random.default_rng(0)
    model = Model(graph, initial_weights(graph, 0))
    try:
        int8 = mj.quantize(model, random.standard_normal((32, *shape), np.float32))
    except mj.MillijouleError as error:
        return size, str(error), *[""] * (len(INT8_COLUMNS) - 1)
    inputs = random.integers(-128, 128, (ZOO_INPUTS, *shape), dtype=np.int8)
    ours = outputs(int8, inputs)
    with tempfile.TemporaryDirectory() as folder:
        return size, *tflite_cells(int8, inputs, ours, Path(folder)), *qdq_cells(int8, inputs, ours, Path(folder))


def zoo_row(graph: Graph) -> tuple[str, ...]:
    model = Model(graph, initial_weights(graph, 0))
    x = np.random.default_rng(0).standard_normal((1, *graph.inputs[0].shape), np.float32)
    ours = predict(model, x)
    with tempfile.TemporaryDirectory() as folder:
        path = mj.export(model, "onnx", Path(folder) / "net.onnx")
        theirs, again = run_onnx(path, x), predict(mj.load(path), x)
    largest = np.abs(ours).max()
    gaps = (np.abs(each.reshape(ours.shape) - ours).max() / largest for each in (theirs, again))
    return ("x".join(map(str, graph.inputs[0].shape)), *(f"{gap:.1e}" for gap in gaps))


def file_row(path: Path, model: Model, options: argparse.Namespace) -> tuple[str, ...]:
    if path.stem in TASKS:
        inputs = as_int8(TASKS[path.stem].load(options.data)[0][: options.inputs])
    else:
        shape = (options.inputs, *model.graph.inputs[0].shape)
        inputs = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)
    ours = outputs(model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        return (*tflite_cells(model, inputs, ours, Path(folder)), *qdq_cells(model, inputs, ours, Path(folder)))


def tflite_cells(model: Model, inputs: np.ndarray, ours: np.ndarray, folder: Path) -> tuple[str, ...]:
    try:
        file = mj.export(model, "tflite", folder / "net.tflite")
    except mj.MillijouleError as error:
        return str(error), ""
    try:
        judged = equal_share(run_tflm(file, inputs), ours)
    except RuntimeError:  # It says on stderr what it lacks, as room for more than ten inputs of a CONCATENATION.
        judged = "TFLM cannot run the file"
    return judged, loaded_again(file, inputs, ours)


def qdq_cells(model: Model, inputs: np.ndarray, ours: np.ndarray, folder: Path) -> tuple[str, ...]:
    assert model.quantization is not None
    try:
        file = mj.export(model, "qdq", folder / "net.onnx")
    except mj.MillijouleError as error:
        return str(error), "", ""
    reals = run_onnx(file, model.quantization[model.graph.inputs[0].name].dequantize(inputs))
    theirs = model.quantization[model.graph.outputs[0]].quantize(reals).reshape(ours.shape)
    same = f"{100 * np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1)):.1f} %"
    return equal_share(theirs, ours), same, loaded_again(file, inputs, ours)


def equal_share(theirs: np.ndarray, ours: np.ndarray) -> str:
    return f"{int(np.sum(theirs.reshape(ours.shape) == ours)):,} of {ours.size:,} bytes equal"


def loaded_again(file: Path, inputs: np.ndarray, ours: np.ndarray) -> str:
    return "equal" if np.array_equal(outputs(mj.load(file), inputs), ours) else "differs"


def outputs(model: Model, inputs: np.ndarray) -> np.ndarray:
    parts = [model.run(inputs[i : i + 10])[model.graph.outputs[0]] for i in range(0, len(inputs), 10)]
    return np.concatenate(parts).reshape(len(inputs), -1)


def run_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    """Channels last in and out; ONNX has them first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Without VNNI, ONNX Runtime's fast int8 products saturate on x64.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    given = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x, np.float32)
    (result,) = session.run(None, {session.get_inputs()[0].name: given})
    return result.transpose(0, 2, 3, 1) if result.ndim == 4 else result


def run_tflm(path: Path, inputs: np.ndarray) -> np.ndarray:
    interpreter = runtime.Interpreter.from_file(str(path), arena_size=ARENA_BYTES)
    results = []
    for sample in inputs:
        interpreter.set_input(sample[None], 0)
        interpreter.invoke()
        results.append(interpreter.get_output(0)[0])
    return np.stack(results)


if __name__ == "__main__":
    main()
