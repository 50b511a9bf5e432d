"""From a model, or labelled images, to firmware that has run: every phase in order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from millijoule.cost import cost
from millijoule.cost.device import Device, compiled_for, load_device, target_of
from millijoule.detect.find import LEAST_SCORE
from millijoule.emit import detector_bytes, emit, identifier, layer_symbols, rows_pushed, written_bytes
from millijoule.emit.boxes import found_bytes
from millijoule.errors import DoesNotFit, OptionError, ToolError
from millijoule.model import Model
from millijoule.ops.opaque import check_known
from millijoule.passes.integer import reduce
from millijoule.plan import Plan, plan
from millijoule.plan.streaming import StreamPlan, frontier, stream_plan, strip_plan, two_memories, verify_stream
from millijoule.plan.verify import verify
from millijoule.report.deployment import Deployment, write_reports
from millijoule.report.detection.findings import ShippedDetector
from millijoule.run.fit import check_before_compiling, check_two_memories, explained, fits_ram
from millijoule.target import OBJECTIVES, Target
from millijoule.trial import Answers, Trial, calibration_images, equal_boxes, trial

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.run.measurement import Build, Measurement
    from millijoule.train import Dataset

MARKERS = ("report.json", "model.c", "weights.h")
"""Files by which a folder is known as an earlier deployment."""


def deploy(
    model: Model,
    device: Device | str,
    *,
    data: Dataset | DetectionSet | None = None,
    folder: Path | str | None = None,
    optimize: str = "speed",
    input: str = "overwrite",
    ram: tuple[int, int] | None = None,
    strips: int = 1,
    compiler: str = "zig",
    level: str = "-O2",
    emulator: str | None = None,
    samples: int | None = None,
    keep_dead_channels: bool = False,
    flash_for_speed: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Deployment:
    """Turn a model into a firmware project in `folder`, build it, run it and report.

    model: int8, or float together with `data`, on whose training images it is quantized.
    data: labelled images, or annotated ones for a model that finds boxes. The test images are run through the firmware
    (the first `samples` of them); without data, random inputs are.
    folder: made whole or not at all; an earlier deployment in it is replaced. Default: <model>-<device>-firmware.
    optimize: `speed`, the fewest instructions that fit the device's RAM: layer by layer, or, where that does not fit,
    with as few layers streamed row by row as do; `ram`, the least RAM. input: whether an inference may `overwrite` the
    input, has to `keep` it, gets it row by row (`push`): then there is no memory for a whole input; or may `read` it
    outside of the arena.
    ram: bytes of a fast and of a slow memory for two arenas: the device's RAM, and the one that it names as `slow`. The
    plan is the one with the least traffic to the slow memory. strips: of the width, in which the beginning of the
    network is computed to save RAM, with `optimize="ram"`; overlapping columns are computed more than once.
    compiler: `zig` (clang from PyPI's ziglang) or `gcc` (arm-none-eabi-gcc). level: `-O2`, `-Os`, …
    emulator: `unicorn`, the default, or `qemu`, the default for cores that unicorn does not know; `none` builds only.
    For the device `host`, the same C runs on this computer.
    keep_dead_channels: leave in the channels that are proven not to matter (`millijoule.reduce`). Without it they are
    removed; the reference is the model with all of them.
    flash_for_speed: weights of convolutions and dense layers as int16, on Cortex-M4, M7 and M33: twice their flash and
    fewer instructions, but by Arm's table of cycles about as many cycles on Cortex-M4 (`kernels/dsp/block.h`).
    progress: called with the number of samples done.

    Raises DoesNotFit if a memory is too small, DeviceError if `ram` is asked of a device with one memory, ToolError if
    a compiler or emulator is missing or fails, ModelError if the model cannot be emitted, DataError if the data do not
    suit, OptionError if `folder` holds something else, the emulator is none of these, no plan fits `ram`, or
    `flash_for_speed` is asked of another core.
    """
    device = load_device(device) if isinstance(device, str) else device
    target = Path(folder) if folder else Path(f"{identifier(model.graph.name)}-{device.name}-firmware")
    check_replaceable(target)
    check_known(model.graph)
    emulator = _emulator(device, emulator)
    float_model = None if model.is_int8 else model
    if float_model is not None:
        if data is None:
            raise OptionError(f"model '{model.graph.name}' is float: give --data, on which it is quantized to int8")
        from millijoule.quantize import quantize

        model = quantize(float_model, calibration_images(model, data))
    tried = trial(model, data, samples)
    inputs, notes = tried.inputs, tried.notes
    reference = Answers.of_reference(model, inputs)
    if not keep_dead_channels:
        reduction = reduce(model)
        model = reduction.model
        notes += reduction.notes
    planned: Plan | StreamPlan
    if strips > 1:
        if optimize != "ram" or ram is not None:
            raise OptionError(
                f"--strips {strips} is for the least RAM of one memory: add --optimize ram, leave out --ram"
            )
        split, planned = strip_plan(model, strips, input, target=_target(device, flash_for_speed))
        assert isinstance(split, Model)
        model = split
        verify_stream(model, planned)
    else:
        planned = plan_for(model, device, optimize, input, flash_for_speed, ram)
    if device.kind != "host":
        check_before_compiling(model, planned, device)

    build: Build | None = None
    measurement: Measurement | None = None
    results: np.ndarray | None = None
    with replacing_folder(target) as work:
        emit(model, planned, device, work)
        if device.kind == "host":
            results = _run_on_host(work, model, inputs)
        else:
            build, measurement = _run_firmware(
                work, model, planned, device, compiler, level, emulator, inputs, progress
            )
            build = replace(build, elf=str(target / Path(build.elf).name))
            results = measurement.outputs if measurement else None
        firmware = None if results is None else Answers.written(model, results)
        deployment = Deployment(
            model=model,
            plan=planned,
            cost=cost(model),
            device=device,
            build=build,
            measurement=measurement,
            accuracy=_scores(tried, "accuracy", float_model, reference, firmware),
            outputs_compared=firmware.outputs.size if firmware else 0,
            outputs_equal=int(np.sum(firmware.outputs == reference.outputs)) if firmware else 0,
            folder=target,
            notes=(*model.notes, *(data.notes if data else ()), *notes),
            detector=_shipped(model, planned, tried, float_model, reference, firmware) if model.boxes else None,
        )
        write_reports(deployment, work)
    return deployment


def _scores(
    tried: Trial, measure: str, float_model: Model | None, reference: Answers, firmware: Answers | None
) -> dict[str, float | None]:
    """How good the float model, the reference and the C are by `measure`, as far as that can be told."""
    scores: dict[str, float | None] = {"float": None, "int8_host": None, "int8_device": None}
    if tried.measure != measure or tried.score is None or tried.score_of is None:
        return scores
    scores["int8_host"] = tried.score(reference)
    if firmware:
        scores["int8_device"] = tried.score(firmware)
    if float_model:
        scores["float"] = tried.score_of(float_model)
    return {key: None if score is None or isnan(score) else score for key, score in scores.items()}


def _shipped(
    model: Model,
    planned: Plan | StreamPlan,
    tried: Trial,
    float_model: Model | None,
    reference: Answers,
    firmware: Answers | None,
) -> ShippedDetector:
    assert model.boxes is not None
    assert reference.boxes is not None
    found = firmware.boxes if firmware and firmware.boxes is not None else []
    return ShippedDetector(
        map_50=_scores(tried, "mAP@0.5", float_model, reference, firmware),
        boxes_compared=sum(map(len, reference.boxes)) if firmware else 0,
        boxes_equal=sum(map(equal_boxes, found, reference.boxes)),
        working_bytes=detector_bytes(model, planned),
        found_bytes=found_bytes(model.boxes),
        findings=tried.findings(firmware or reference) if tried.findings else None,
    )


def plan_for(
    model: Model,
    device: Device,
    optimize: str = "speed",
    input: str = "overwrite",
    flash_for_speed: bool = False,
    ram: tuple[int, int] | None = None,
) -> Plan | StreamPlan:
    """The plan of an int8 model for a device, verified; if none fits its RAM, the one that needs least.

    Parameters as of `deploy`. Raises OptionError for another `optimize` or `input`, for `ram` beside `optimize`, or if
    no plan fits it, and for `flash_for_speed` where there are no kernels for it.
    """
    if optimize not in OBJECTIVES:
        raise OptionError(f"optimize is '{optimize}'; it must be one of {', '.join(OBJECTIVES)}")
    target = _target(device, flash_for_speed)
    chosen: Plan | StreamPlan
    if ram is not None:
        if optimize != "speed":
            raise OptionError("--ram FAST+SLOW looks for the least traffic between two memories: leave --optimize out")
        check_two_memories(device, *ram)
        chosen = two_memories(model, *ram, input, target=target)
    elif optimize == "ram":
        chosen = stream_plan(model, input, target=target)
    elif input == "overwrite" and fits_ram(stored := plan(model, target=target), device):
        verify(model, stored)
        return stored
    else:
        plans = frontier(model, input, target=target)
        chosen = next((each for each in reversed(plans) if fits_ram(each, device)), plans[0])
        if input == "overwrite":
            layers = sum(map(len, chosen.segments))
            by_pixels = f" ({chosen.pixel_steps} pixel by pixel)" if chosen.pixel_steps else ""
            note = (
                f"layer by layer the arena takes {stored.arena_bytes:,} bytes, which do not fit: "
                f"{chosen.streamed_steps} of {layers} layers are executed row by row{by_pixels}, "
                f"in {chosen.arena_bytes:,} bytes"
            )
            chosen = replace(chosen, notes=(note,))
    verify_stream(model, chosen)
    return chosen


def instructions_of(model: Model, planned: Plan | StreamPlan, device: Device) -> int:
    """Instructions that the firmware of a plan executes for one random input, counted in the emulator (zig, -O2).

    Raises as `deploy`; OptionError for the device `host`, whose instructions are not counted, and ToolError if an
    output differs from the reference.
    """
    emulator = _emulator(device, None)
    if emulator == "none":
        raise OptionError(f"instructions are counted of microcontrollers: --device {device.name} is none")
    inputs = trial(model, None, 1).inputs
    expected = Answers.of_reference(model, inputs).outputs
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        emit(model, planned, device, work)
        _, measurement = _run_firmware(work, model, planned, device, "zig", "-O2", emulator, inputs, None)
    assert measurement is not None
    if not np.array_equal(Answers.written(model, measurement.outputs).outputs, expected):
        raise ToolError(f"the firmware of {planned.arena_bytes:,} bytes of RAM differs from the reference")
    return measurement.instructions[0]


def _target(device: Device, flash_for_speed: bool) -> Target:
    """What kernels are chosen for. Raises OptionError for `flash_for_speed` where there are none for it."""
    target = target_of(device)
    if flash_for_speed and target.instructions != "dsp":
        raise OptionError(
            f"device '{device.name}' has no kernels for int16 weights, only Cortex-M4, M7 and M33 have: leave out "
            "--flash-for-speed"
        )
    return replace(target, wide_weights=flash_for_speed)


def _emulator(device: Device, emulator: str | None) -> str:
    """What runs the firmware. Raises ToolError if nothing installed can: told before anything is computed."""
    from millijoule.run import emulator as unicorn
    from millijoule.run import qemu

    if emulator not in (None, "unicorn", "qemu", "none"):
        raise OptionError(f"emulator is '{emulator}'; it must be unicorn, qemu or none")
    if device.kind == "host" or emulator == "none":
        return "none"
    if emulator is None:
        emulator = "unicorn" if compiled_for(device) in unicorn.MODELS else "qemu"
    if emulator == "qemu":
        qemu.qemu_version(device)
    else:
        unicorn.check_core(device)
    return emulator


def _run_on_host(work: Path, model: Model, inputs: np.ndarray) -> np.ndarray:
    from millijoule.run.host import HostLibrary, build_host

    name, coding = identifier(model.graph.name), model.boxes
    output_bytes = written_bytes(model) - (found_bytes(coding) if coding else 0)
    most = coding.most if coding else 0
    return HostLibrary(build_host(work, name), name, inputs[0].size, output_bytes, most, LEAST_SCORE).run(inputs)


def _run_firmware(
    work: Path,
    model: Model,
    planned: Plan | StreamPlan,
    device: Device,
    compiler: str,
    level: str,
    emulator: str,
    inputs: np.ndarray,
    progress: Callable[[int], None] | None,
) -> tuple[Build, Measurement | None]:
    from millijoule.run.emulator import emulate
    from millijoule.run.qemu import emulate_qemu
    from millijoule.run.toolchain import build

    try:
        firmware = build(work, device, compiler, level)
    except DoesNotFit as error:
        raise explained(error, model, planned, device) from None
    if emulator == "none":
        return firmware, None
    run = emulate_qemu if emulator == "qemu" else emulate
    name = identifier(model.graph.name)
    symbols, rows = layer_symbols(model, planned.joined), rows_pushed(model, planned)
    measurement = run(firmware, device, name, inputs, symbols, written_bytes(model), progress, rows)
    return firmware, measurement


def check_replaceable(target: Path, markers: Sequence[str] = MARKERS) -> None:
    """OptionError if `target` exists and is neither empty nor holds the files `markers`, as an earlier deployment."""
    if target.exists():
        is_ours = all((target / name).is_file() for name in markers)
        if not is_ours and (not target.is_dir() or any(target.iterdir())):
            raise OptionError(f"'{target}' exists and is not an earlier deployment: remove it or choose another --out")


@contextmanager
def replacing_folder(target: Path, markers: Sequence[str] = MARKERS) -> Iterator[Path]:
    """A new folder that takes the place of `target` when the block ends well, and vanishes when it does not.

    Raises OptionError as check_replaceable.
    """
    check_replaceable(target, markers)
    target = target.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(
            prefix=f".{target.name}-", dir=target.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise OptionError(f"'{target}' cannot be written ({error.strerror}): choose another --out") from None
    with temporary as holder:
        work, earlier = Path(holder) / target.name, Path(holder) / f"{target.name}.earlier"
        work.mkdir()
        yield work
        if target.exists():
            target.rename(earlier)
        try:
            work.rename(target)
        except BaseException:
            if earlier.exists():
                earlier.rename(target)
            raise
