"""Networks on this computer: latency, memory and, where there is a meter, energy, engine by engine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.cost import cost
from millijoule.errors import MillijouleError, ModelError, OptionError, ToolError
from millijoule.graph import Graph
from millijoule.measure.engines import Engine, engine
from millijoule.measure.meters import Meter, Reading
from millijoule.measure.prepare import prepare
from millijoule.measure.timing import median_interval
from millijoule.model import Model

SEED = 0
IDLE_SECONDS = 3.0
LONGEST_START = 600
"""Seconds that an engine may take to load, compile and warm up."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network in one engine at one batch.

    latency_ms: of one batch, the median of `repeats` runs; low, high: the 95 % interval of that median.
    resident_before_bytes: of the process, the engine not yet loaded; resident_peak_bytes: at most, its own code and
    the network's compilation included. begin, end: of the timed runs, seconds since 1970. energy_mj: of one image,
    idle power subtracted; energy_error_mj: what sampling leaves open; gross_mj: nothing subtracted; None, with
    `no_energy`, where nothing was measured. difference: the largest from the first engine's outputs at this batch,
    over the largest of those; None for the first itself. problem: why nothing else is there.
    """

    network: str
    engine: str
    device: str
    batch: int
    threads: int
    precision: str
    macs: int
    params: int
    version: str = ""
    settings: str = ""
    latency_ms: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    repeats: int = 0
    resident_before_bytes: int | None = None
    resident_peak_bytes: int | None = None
    begin: float = 0.0
    end: float = 0.0
    energy_mj: float | None = None
    energy_error_mj: float | None = None
    gross_mj: float | None = None
    watts: float | None = None
    no_energy: str = ""
    difference: float | None = None
    problem: str = ""

    @property
    def images_per_second(self) -> float | None:
        return None if self.latency_ms is None else self.batch / self.latency_ms * 1000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """machine: processor and system. meter: its name, or why there is none. idle_watts: before the first run, None
    without a meter. idle_begin, idle_end: when nothing ran, for a log that is joined later. rate_hz: samples of the
    meter a second."""

    machine: str
    meter: str
    idle_watts: float | None
    idle_begin: float
    idle_end: float
    runs: tuple[Run, ...]
    rate_hz: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Measured:
        """Raises OptionError if it is not what `to_json` gave."""
        try:
            return Measured(**(value | {"runs": tuple(Run(**run) for run in value["runs"])}))
        except (TypeError, KeyError):
            raise OptionError("this is not what `millijoule measure --json` printed") from None


def measure(
    networks: Sequence[Graph | Model],
    engines: Sequence[str] = ("onnxruntime",),
    batches: Sequence[int] = (1,),
    *,
    threads: int = 1,
    meter: Meter | None = None,
    seconds: float = 10.0,
    wanted: float = 0.02,
    int8: bool = False,
    gpus: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Run every network in every engine at every batch, each in a process of its own.

    networks: a graph gets the numbers that training would begin with: latency does not depend on them. int8: quantize
    float networks, on random images. gpus: PyTorch's engines also on every other device that PyTorch sees. seconds:
    at most, for the timed runs of one row, once there are 8; fewer if the 95 % interval of the median is within
    ± `wanted` before, which is looked at after a tenth of it. What an engine cannot do is its row's `problem`.

    Raises OptionError for an unknown engine, a batch or threads below 1; ModelError if a network has several inputs.
    """
    chosen = [(each, device) for each in map(engine, engines) for device in _devices(each, gpus)]
    if min(batches) < 1 or threads < 1:
        raise OptionError(f"batch {min(batches)}, threads {threads}: both must be 1 or more")
    limits = {"least_seconds": seconds / 10, "most_seconds": seconds, "wanted": wanted}
    idle_begin = time.time()
    if meter is not None:
        meter.start()
        time.sleep(IDLE_SECONDS)
    idle_end = time.time()
    idle = _reading(meter, idle_begin, idle_end) if meter is not None and meter.live else "no meter"
    runs: list[Run] = []
    for network in networks:
        model = _with_numbers(network, int8)
        empty = _empty(model, threads)
        with tempfile.TemporaryDirectory() as folder:
            for batch in batches:
                first: np.ndarray | None = None
                for each, device in chosen:
                    row = replace(empty, engine=each.name, device=device, batch=batch)
                    progress(f"{row.network}, {row.engine}, batch {batch}")
                    row, outputs = _run(row, model, each, Path(folder), limits, meter)
                    if outputs is not None:
                        row, first = _compared(row, outputs, first)
                    runs.append(row)
    measured = Measured(
        machine=_machine(),
        meter=meter.name if meter else "no meter",
        idle_watts=None,
        idle_begin=idle_begin,
        idle_end=idle_end,
        runs=tuple(runs),
    )
    return _net(measured, idle) if meter is None or meter.live else join_log(measured, meter)


def _empty(model: Model, threads: int) -> Run:
    """A row of this model, for any engine."""
    figures = cost(model.graph)
    return Run(
        network=model.graph.name,
        engine="",
        device="",
        batch=1,
        threads=threads,
        precision="int8" if model.is_int8 else "float32",
        macs=figures.macs,
        params=figures.params,
    )


def join_log(measured: Measured, meter: Meter) -> Measured:
    """The same with energies from a log that covers it. What the log does not cover stays empty, with the reason."""
    idle = _reading(meter, measured.idle_begin, measured.idle_end)
    runs = (run if run.problem else _gross(run, _reading(meter, run.begin, run.end)) for run in measured.runs)
    return _net(replace(measured, meter=meter.name, runs=tuple(runs)), idle)


def _reading(meter: Meter, begin: float, end: float) -> Reading | str:
    """A reading, or why there is none."""
    try:
        return meter.stop(begin, end)
    except MillijouleError as error:
        return str(error)


def _gross(run: Run, reading: Reading | str) -> Run:
    if isinstance(reading, str):
        return replace(run, no_energy=reading)
    images = run.repeats * run.batch
    # A live meter's stretch is a little longer than the runs: its power counts, over their time.
    joules = reading.watts * (run.end - run.begin)
    return replace(
        run,
        gross_mj=joules / images * 1000,
        energy_error_mj=reading.error_joules / images * 1000,
        watts=reading.watts,
        no_energy="",
    )


def _net(measured: Measured, idle: Reading | str) -> Measured:
    """Energies without what the idle computer takes; idle: a reading of it, or why there is none."""

    def net(run: Run) -> Run:
        if run.problem or run.gross_mj is None:
            return run if run.problem or run.no_energy else replace(run, no_energy=measured.meter)
        if isinstance(idle, str):
            return replace(run, no_energy=f"idle power was not measured: {idle}")
        images = run.repeats * run.batch
        return replace(run, energy_mj=run.gross_mj - idle.watts * (run.end - run.begin) / images * 1000)

    watts, rate = (None, None) if isinstance(idle, str) else (idle.watts, idle.rate_hz)
    return replace(measured, idle_watts=watts, rate_hz=rate, runs=tuple(net(run) for run in measured.runs))


def _run(
    row: Run, model: Model, engine: Engine, folder: Path, limits: dict[str, float], meter: Meter | None
) -> tuple[Run, np.ndarray | None]:
    """The row filled, and the outputs (batch, numbers); or the row with its problem."""
    try:
        path = prepare(model, engine, row.batch, folder)
        x = _inputs(model, row.batch, engine)
        np.save(folder / "input.npy", x)
        task = {"engine": row.engine, "path": str(path), "threads": row.threads, "device": row.device, **limits}
        task |= {"input": str(folder / "input.npy"), "output": str(folder / "output.npy")}
        with _worker() as worker:
            ready = _ask(worker, json.dumps(task), engine)
            if meter is not None and meter.live:
                meter.start()
            done = _ask(worker, "go", engine)
            reading = _reading(meter, done["begin"], done["end"]) if meter is not None and meter.live else None
        median, low, high = median_interval(done["seconds"])
        row = replace(
            row,
            version=ready["version"],
            settings=ready["settings"],
            latency_ms=median * 1000,
            latency_low_ms=low * 1000,
            latency_high_ms=high * 1000,
            repeats=len(done["seconds"]),
            resident_before_bytes=done["resident_before"],
            resident_peak_bytes=done["resident_peak"],
            begin=done["begin"],
            end=done["end"],
        )
        outputs = np.load(folder / "output.npy").reshape(row.batch, -1)
        if outputs.dtype == np.int8 and model.quantization is not None:
            outputs = model.quantization[model.graph.outputs[0]].dequantize(outputs)
        return (row if reading is None else _gross(row, reading)), outputs
    except MillijouleError as error:
        return replace(row, problem=str(error)), None


def _compared(row: Run, outputs: np.ndarray, first: np.ndarray | None) -> tuple[Run, np.ndarray]:
    if first is None:
        return row, outputs
    if first.shape != outputs.shape:
        return replace(row, problem=f"gives {outputs.shape} numbers, the first engine {first.shape}"), first
    largest = float(np.abs(first.astype(np.float64)).max()) or 1.0
    difference = np.abs(first.astype(np.float64) - outputs.astype(np.float64)).max() / largest
    return replace(row, difference=float(difference)), first


def _worker() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "millijoule.measure.worker"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _ask(worker: subprocess.Popen[str], line: str, engine: Engine) -> dict[str, Any]:
    """The answer to a line. Raises ToolError or ModelError with what went wrong."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
        text = worker.stdout.readline()
    except BrokenPipeError:
        text = ""
    if not text:
        raise ToolError(f"{engine.name} ended its process with code {worker.wait()}")
    answer: dict[str, Any] = json.loads(text)
    if answer["event"] != "error":
        return answer
    worker.wait()
    if answer["kind"] in ("ImportError", "ModuleNotFoundError"):
        raise ToolError(f"{engine.name} is not installed: pip install {engine.package}")
    raise ModelError(f"{engine.name}: {answer['text']}")


def _with_numbers(network: Graph | Model, int8: bool) -> Model:
    from millijoule.train.initial import initial_weights

    model = network
    if isinstance(model, Graph):
        model = Model(model, initial_weights(model, SEED))
    if len(model.graph.inputs) != 1:
        raise ModelError(f"model '{model.graph.name}' has {len(model.graph.inputs)} inputs; one is measured")
    if int8 and not model.is_int8:
        from millijoule.quantize import quantize
        from millijoule.quantize.images import LEAST_IMAGES

        images = np.random.default_rng(SEED).standard_normal((LEAST_IMAGES, *model.graph.inputs[0].shape), np.float32)
        model = quantize(model, images)
    return model


def _inputs(model: Model, batch: int, engine: Engine) -> np.ndarray:
    """Random images, the same for every engine: (batch, channels, height, width), or with the channels last. Of an
    int8 model, int8 numbers, or what they stand for where the engine reads ONNX, whose inputs stay float32."""
    shape, random = (batch, *model.graph.inputs[0].shape), np.random.default_rng(SEED)
    x: np.ndarray
    if model.quantization is None:
        x = random.standard_normal(shape, np.float32)
    else:
        x = random.integers(-128, 128, shape, np.int8)
        if engine.suffix == ".onnx":
            x = model.quantization[model.graph.inputs[0].name].dequantize(x).astype(np.float32)
    return np.ascontiguousarray(x if engine.maps == "last" or x.ndim != 4 else x.transpose(0, 3, 1, 2))


def _devices(engine: Engine, gpus: bool) -> list[str]:
    if not gpus or engine.module != "torch":
        return ["cpu"]
    from millijoule.train.network import import_torch

    torch = import_torch()
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *found, *(["mps"] if torch.backends.mps.is_available() else [])]


def _machine() -> str:
    import os
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} processors, {platform.system()}"
