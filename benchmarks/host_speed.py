"""Inferences in a second of this computer's time: the emitted C, TFLite Micro's interpreter and ONNX Runtime.

    python benchmarks/host_speed.py --data DIR [--compiler zig|gcc|clang] [--samples N]

Models: DIR/models/mlperf_tiny (int8 TFLite) and, for ONNX Runtime, the same networks quantized by others as QDQ ONNX
(DIR/models/qdq_onnx). Ours: `host` kernels and portable ones, -O3, compiled for
this processor; dead channels are kept, so that all compute the same. TFLite Micro: PyPI's tflite-micro, whose kernels
are the reference ones. Every output of ours is compared with TFLite Micro's byte by byte. Random inputs, one at a time,
one thread; processor time, because other work on a computer changes the wall clock.
"""

import argparse
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table
from tflite_micro.python.tflite_micro import runtime

import millijoule as mj
from millijoule.cost.device import load_device
from millijoule.emit import emit, identifier
from millijoule.model import Model
from millijoule.plan import plan
from millijoule.run.host import HostLibrary, build_host
from millijoule.target import Target

MODELS = {
    "AD": ("ad01_int8.tflite", "autoencoder"),
    "ResNet-8": ("pretrainedResnet_quant.tflite", "resnet"),
    "DS-CNN": ("kws_ref_model.tflite", "kws"),
    "MobileNetV1-0.25": ("vww_96_int8.tflite", "mobilenet"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--compiler", choices=("zig", "gcc", "clang"), default="zig")
    parser.add_argument("--samples", type=int, default=300)
    options = parser.parse_args()
    micro, ort = f"tflite-micro {version('tflite-micro')}", f"ONNX Runtime {onnxruntime.__version__}"
    table = Table(
        "model",
        "exact",
        "host kernels",
        "portable C",
        micro,
        ort,
        "to TFLM",
        "to ORT",
        title="inferences in a second of one core",
    )
    for name, (file, other) in MODELS.items():
        path = options.data / "models" / "mlperf_tiny" / file
        model = mj.load(path)
        rng = np.random.default_rng(0)
        inputs = rng.integers(-128, 128, (options.samples, *model.graph.inputs[0].shape), dtype=np.int8)
        theirs, expected = time_micro(path, inputs)
        rates, exact = [], True
        for target in (Target("host"), Target()):
            rate, outputs = time_ours(model, inputs, target, options.compiler)
            rates.append(rate)
            exact &= np.array_equal(outputs, expected)
        onnx = next(iter(sorted((options.data / "models" / "qdq_onnx").glob(f"*{other}*.onnx"))), None)
        third = time_onnx(onnx, len(inputs)) if onnx else float("nan")
        table.add_row(
            *(name, "yes" if exact else "NO", *(f"{rate:,.0f}" for rate in (*rates, theirs, third))),
            *(f"{rates[0] / rate:.1f}" for rate in (theirs, third)),
        )
    Console(width=150).print(table)


def rate_of(count: int, run) -> tuple[float, list]:
    """Inferences in a second of processor time, the best of three rounds, and what the last one returned."""
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        result = run()
        best = max(best, count / (time.process_time() - start))
    return best, result


def time_ours(model: Model, inputs: np.ndarray, target: Target, compiler: str) -> tuple[float, np.ndarray]:
    name = identifier(model.graph.name)
    outputs = int(np.prod(model.graph.shapes[model.graph.outputs[0]]))
    with tempfile.TemporaryDirectory() as folder:
        emit(model, plan(model, target=target), load_device("host"), Path(folder))
        library = HostLibrary(build_host(Path(folder), name, compiler), name, inputs[0].size, outputs)
        return rate_of(len(inputs), lambda: library.run(inputs))


def time_micro(path: Path, inputs: np.ndarray) -> tuple[float, np.ndarray]:
    interpreter = runtime.Interpreter.from_file(str(path), arena_size=1_000_000)

    def run() -> np.ndarray:
        outputs = []
        for sample in inputs:
            interpreter.set_input(sample[None], 0)
            interpreter.invoke()
            outputs.append(interpreter.get_output(0).reshape(-1))
        return np.stack(outputs)

    return rate_of(len(inputs), run)


def time_onnx(path: Path, count: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    sample = {entry.name: np.random.default_rng(0).random(shape, np.float32)}
    return rate_of(count, lambda: [session.run(None, sample) for _ in range(count)])[0]


if __name__ == "__main__":
    main()
