"""The models of DIR against TFLM, bit for bit, and their accuracies.

    python benchmarks/reference.py --data DIR [--images N] [--inputs N] [--litert-python PYTHON]

For every file of DIR/models/*/*.tflite: whether it loads (or what is not supported), how many numbers of its outputs,
and of the outputs of all its operators, equal TFLM's (PyPI tflite-micro), and the accuracy of the integer reference on
the labelled data of DIR. Inputs are N random ones and, where DIR has any, N real ones. Float models are run with torch;
the largest difference is given instead.

--litert-python: a Python that has ai-edge-litert (2.3.0), whose reference kernels (BUILTIN_REF) stand in where TFLM
refuses a model, and are compared beside it elsewhere. --images: how many labelled images each accuracy takes.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tflite_micro.python.tflite_micro import runtime

import millijoule as mj
from millijoule.load.tflite.file import read_tflite
from millijoule.model import Model
from millijoule.train.network import activations, predict

BATCH = 100
LITERT = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

interpreter = Interpreter(sys.argv[1], experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
interpreter.allocate_tensors()
entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
outputs = []
for sample in np.load(sys.argv[2]):
    interpreter.set_tensor(entry["index"], sample.reshape(entry["shape"]))
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result["index"])[0])
np.save(sys.argv[3], np.stack(outputs))
"""


@dataclass(frozen=True)
class Task:
    """Labelled data: `load` reads (uint8 images or int8 inputs, labels) from DIR.

    twin: the int8 model whose input quantization gives the floats of a float model. published: what the model's
    makers, or another runtime, report.
    """

    load: Callable[[Path], tuple[np.ndarray, np.ndarray]]
    twin: str
    published: float | None = None


@cache
def cifar10(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    with np.load(folder / "images" / "cifar10_webp.npz") as data:
        sheet = np.asarray(Image.open(io.BytesIO(data["test_webp_0"].tobytes())))
        images = sheet.reshape(100, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
        return images, data["y_test"]


@cache
def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / "images" / "mnist.npz") as data:
        return data["x_test"][..., None], data["y_test"]


@cache
def keyword_spotting(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """1000 × 49 × 10 × 1 int8, as the model takes them."""
    with np.load(folder / "mlperf_eval" / "kws01.npz") as data:
        return data["x"][..., None], data["y"]


@cache
def visual_wake_words(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """1000 × 96 × 96 × 3; red and blue of the published files are swapped back."""
    from PIL import Image

    labels = {}
    for line in (folder / "mlperf_eval" / "vww01_y_labels.csv").read_text().split():
        name, _, label = line.split(",")
        labels[Path(name).stem] = int(label)
    images, answers = [], []
    with tarfile.open(folder / "mlperf_eval" / "vww01_jpg.tar") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                images.append(np.asarray(Image.open(file).convert("RGB"))[..., ::-1])
                answers.append(labels[Path(member.name).stem])
    return np.stack(images), np.array(answers)


TASKS = {
    "cifar10_q": Task(cifar10, "tinymaix/cifar10_q"),
    "kws_ref_model": Task(keyword_spotting, "mlperf_tiny/kws_ref_model", 0.902),
    "kws_ref_model_float32": Task(keyword_spotting, "mlperf_tiny/kws_ref_model"),
    "mnist_dw_q": Task(mnist, "tinymaix/mnist_dw_q"),
    "pretrainedResnet": Task(cifar10, "mlperf_tiny/pretrainedResnet_quant"),
    "pretrainedResnet_quant": Task(cifar10, "mlperf_tiny/pretrainedResnet_quant", 0.8697),
    "vww_96_float": Task(visual_wake_words, "mlperf_tiny/vww_96_int8"),
    "vww_96_int8": Task(visual_wake_words, "mlperf_tiny/vww_96_int8", 0.856),
}


def int8_files(folder: Path) -> Iterator[tuple[Path, Model]]:
    """The int8 TFLite files of the data folder's models that load, each told on stderr."""
    for path in sorted((folder / "models").glob("*/*.tflite")):
        try:
            model = mj.load(path)
        except mj.MillijouleError:
            continue
        if model.is_int8:
            print(f"{path.stem} …", file=sys.stderr)
            yield path, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--litert-python", type=Path, default=None)
    parser.add_argument("--width", type=int, default=180, help="of the table, in characters")
    options = parser.parse_args()
    table = Table(
        "model", "loads", "outputs equal to TFLM", "all operators", "outputs equal to LiteRT", "accuracy", "published"
    )
    for path in sorted((options.data / "models").glob("*/*.tflite")):
        table.add_row(f"{path.parent.name}/{path.stem}", *row(path, options))
    Console(width=options.width).print(table)


def row(path: Path, options: argparse.Namespace) -> tuple[str, ...]:
    try:
        model = mj.load(path)
    except mj.MillijouleError as error:
        return (str(error).removeprefix(f"{path}: ").split("; supported are")[0],)
    print(f"{path.stem} …", file=sys.stderr)
    kind = f"{'int8' if model.is_int8 else 'float'}, {len(model.graph.nodes)} nodes"
    inputs = sample_inputs(path.stem, model, options)
    outputs, operators = against_tflm(path, model, inputs)
    litert = against_litert(path, model, inputs, options.litert_python)
    task = TASKS.get(path.stem)
    if task is None:
        return kind, outputs, operators, litert
    published = "" if task.published is None else f"{task.published}"
    return kind, outputs, operators, litert, f"{accuracy(model, task, options):.4f}", published


def sample_inputs(name: str, model: Model, options: argparse.Namespace) -> np.ndarray:
    """Random inputs, then real ones if there are any, as the model takes them: int8 or float32."""
    rng = np.random.default_rng(0)
    shape = (options.inputs, *model.graph.inputs[0].shape)
    if name not in TASKS:
        return (
            rng.integers(-128, 128, shape, dtype=np.int8) if model.is_int8 else rng.standard_normal(shape, np.float32)
        )
    task = TASKS[name]
    random = rng.integers(-128, 128, shape, dtype=np.int8)
    real = as_int8(task.load(options.data)[0][: options.inputs])
    return as_input(model, task, options.data, np.concatenate([random, real]))


def as_int8(images: np.ndarray) -> np.ndarray:
    """The int8 input of all models here is pixel - 128; what is int8 already stays."""
    return images if images.dtype == np.int8 else (images.astype(np.int16) - 128).astype(np.int8)


def as_input(model: Model, task: Task, folder: Path, integers: np.ndarray) -> np.ndarray:
    """int8 inputs for an int8 model; for a float one, the reals that they stand for in its int8 twin."""
    if model.is_int8:
        return integers
    twin = mj.load(folder / "models" / f"{task.twin}.tflite")
    assert twin.quantization is not None
    return twin.quantization[twin.graph.inputs[0].name].dequantize(integers)


def accuracy(model: Model, task: Task, options: argparse.Namespace) -> float:
    images, labels = (array[: options.images] for array in task.load(options.data))
    right = 0
    for start in range(0, len(images), BATCH):
        inputs = as_input(model, task, options.data, as_int8(images[start : start + BATCH]))
        answers = predict(model, inputs).reshape(len(inputs), -1).argmax(axis=1)
        right += int(np.sum(answers == labels[start : start + BATCH]))
    return right / len(images)


def against_tflm(path: Path, model: Model, inputs: np.ndarray) -> tuple[str, str]:
    """How many numbers agree: of the output, and of the outputs of all operators."""
    config = runtime.InterpreterConfig.kPreserveAllTensors
    try:
        interpreter = runtime.Interpreter.from_file(str(path), intrepreter_config=config)
    except RuntimeError as error:
        return f"refused by TFLM: {error}", ""
    details = interpreter.get_input_details(0)
    tensors = tensors_of_nodes(path, model)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in tensors}
    for sample in inputs:
        interpreter.set_input(to_file_type(model, sample, details["dtype"]).reshape(details["shape"]), 0)
        interpreter.invoke()
        for name, number in tensors.items():
            seen[name].append(np.array(interpreter.GetTensor(number, 0)["tensor_data"]))
    found = values(model, inputs)
    pairs = {name: (found[name], np.concatenate(arrays)) for name, arrays in seen.items()}
    output = agreement(*pairs[model.graph.outputs[0]])
    results = [compared(*pair) for pair in pairs.values()]
    if not model.is_int8:
        return output, f"within {max(error for _, _, error in results):.1e}"
    return output, f"{sum(equal for equal, _, _ in results):,} of {sum(count for _, count, _ in results):,}"


def tensors_of_nodes(path: Path, model: Model) -> dict[str, int]:
    """The file's tensor that each node computes: operators give nodes in order, but for conversions at the ends."""
    contents = read_tflite(path.read_bytes(), str(path))
    ends = ("QUANTIZE", "DEQUANTIZE")
    numbers = [operation.outputs[0] for operation in contents.operations if operation.code not in ends]
    return dict(zip((node.name for node in model.graph.nodes), numbers, strict=True))


def values(model: Model, inputs: np.ndarray) -> dict[str, np.ndarray]:
    parts = [model.run(inputs)] if model.is_int8 else list(activations(model, inputs))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def to_file_type(model: Model, sample: np.ndarray, dtype: type) -> np.ndarray:
    """An input of the model as the file takes it, which may be uint8 or the reals that int8 stands for."""
    if dtype == np.uint8:
        return (sample.astype(np.int16) + 128).astype(np.uint8)
    if dtype == np.float32 and model.quantization is not None:
        return model.quantization[model.graph.inputs[0].name].dequantize(sample)
    return sample


def compared(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, int, float]:
    """(numbers that are equal, all numbers, largest difference)."""
    theirs = theirs.astype(np.float32) - (128 if theirs.dtype == np.uint8 else 0)
    difference = np.abs(ours.astype(np.float32).reshape(-1) - theirs.reshape(-1))
    return int(np.sum(difference == 0)), difference.size, float(difference.max())


def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    equal, count, largest = compared(ours, theirs)
    if ours.dtype != np.int8:
        return f"within {largest:.1e}"
    return f"{equal:,} of {count:,}" + ("" if equal == count else f", within {largest:.0f}")


def against_litert(path: Path, model: Model, inputs: np.ndarray, python: Path | None) -> str:
    if python is None:
        return ""
    file_type = read_tflite(path.read_bytes(), str(path))
    dtype = np.dtype(file_type.tensors[file_type.inputs[0]].type)
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(given, to_file_type(model, inputs, dtype.type))
        command = [str(python), "-c", LITERT, str(path), str(given), str(answers)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            return f"refused by LiteRT: {result.stderr.strip().splitlines()[-1][:60]}"
        theirs = np.load(answers)
    if theirs.dtype == np.float32 and model.quantization is not None:
        theirs = model.quantization[model.graph.outputs[0]].quantize(theirs)
    return agreement(values(model, inputs)[model.graph.outputs[0]], theirs)


if __name__ == "__main__":
    main()
