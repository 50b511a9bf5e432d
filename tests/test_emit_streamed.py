"""The C of plans that stream: it computes what layers one after the other do, in the arena that was planned."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from millijoule.emit import emit, identifier, layer_symbols
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Add, Conv2d, Dense, GlobalAveragePool
from millijoule.plan import PlanError
from millijoule.plan.streaming import StreamPlan, stream_plan, verify_stream
from millijoule.plan.streaming.network.kernels import LEVELS
from millijoule.plan.streaming.network.rows import Grain
from millijoule.run.emulator import emulate
from millijoule.run.host import HostLibrary, build_host, run_program
from millijoule.run.toolchain import build
from millijoule.target import CONTRACTS, SCALAR, Target
from tests.networks import random_int8
from tests.ops.batch import Batch
from tests.ops.test_kernels import INPUTS, MODELS
from tests.plan.streaming.networks import by_pixels, random_model
from tests.run.project import device
from tests.test_emit_builds import installed

# Those that compute nothing have nothing to stream.
OPERATORS = {name: model for name, model in MODELS.items() if not all(node.op.alias for node in model.graph.nodes)}


def named(model: Model, name: str) -> Model:
    return replace(model, graph=replace(model.graph, name=name))


@cache
def residual() -> Model:
    """Two residual blocks, the second with a strided shortcut, and a mean: all that streams."""
    build = Builder("residual", (20, 8, 4))
    build("stem", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("a", Conv2d(channels=8, kernel=3, padding="same", groups=8))
    build("a_sum", Add(activation="relu"), "a", "stem")
    build("b", Conv2d(channels=12, kernel=3, stride=2, padding="same", activation="relu"))
    build("b2", Conv2d(channels=12, kernel=3, padding="same"))
    build("shortcut", Conv2d(channels=12, kernel=1, stride=2, padding="same"), "a_sum")
    build("b_sum", Add(activation="relu"), "b2", "shortcut")
    build("mean", GlobalAveragePool())
    build("classes", Dense(features=10))
    return random_int8(build.graph())


def inputs_of(model: Model, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (count, *model.graph.inputs[0].shape), dtype=np.int8)


def expected(model: Model, inputs: np.ndarray) -> np.ndarray:
    return model.run(inputs)[model.graph.outputs[0]].reshape(len(inputs), -1)


def write(
    folder: Path,
    model: Model,
    contract: str,
    target: Target = SCALAR,
    core: str = "cortex-m4",
    grain: Grain = "row",
) -> StreamPlan:
    planned = (
        by_pixels(model, contract, target)
        if grain == "pixel"
        else stream_plan(model, contract, target=target, grain="row")
    )
    verify_stream(model, planned)
    folder.mkdir(exist_ok=True)
    emit(model, planned, device(core, ram_bytes=256 * 1024), folder)
    return planned


@pytest.mark.parametrize(
    ("kind", "contract", "grain"),
    [("scalar", "overwrite", "row"), ("armv6m", "keep", "row"), ("dsp", "push", "row"), ("dsp", "push", "pixel")],
)
def test_every_operator_equals_int8_on_this_computer(tmp_path, contract, kind, grain):
    batch = Batch.write(tmp_path, OPERATORS, INPUTS, target=Target(kind), contract=contract, grain=grain)
    for name, outputs in batch.on_host().items():
        np.testing.assert_array_equal(outputs, expected(OPERATORS[name], INPUTS[name]), err_msg=name)


@pytest.mark.parametrize(("core", "contract"), [("cortex-m0plus", "overwrite"), ("cortex-m4", "push")])
def test_random_networks_equal_int8_in_the_emulator(tmp_path, core, contract):
    models = {f"random_{seed}": named(random_model(seed), f"random_{seed}") for seed in range(16)}
    inputs = {name: inputs_of(model) for name, model in models.items()}
    batch = Batch.write(tmp_path, models, inputs, core=core, contract=contract)
    for name, outputs in batch.emulated().items():
        np.testing.assert_array_equal(outputs, expected(models[name], inputs[name]), err_msg=name)


@pytest.mark.parametrize(
    ("contract", "kind"), [("overwrite", "scalar"), ("overwrite", "mve"), ("keep", "armv6m"), ("push", "dsp")]
)
def test_random_networks_by_pixels_equal_int8_on_this_computer(tmp_path, contract, kind):
    """Windows at every edge, lines that the end of a ring divides, sums, gates; each instruction set's kernels."""
    models = {f"random_{seed}": named(random_model(seed), f"random_{seed}") for seed in range(24)}
    models["residual"] = residual()
    inputs = {name: inputs_of(model) for name, model in models.items()}
    batch = Batch.write(tmp_path, models, inputs, target=Target(kind), contract=contract, grain="pixel")
    for name, outputs in batch.on_host().items():
        np.testing.assert_array_equal(outputs, expected(models[name], inputs[name]), err_msg=name)


@pytest.mark.parametrize("grain", ["row", "pixel"])
@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("compiler", [installed("gcc"), installed("clang")])
def test_sanitizers_find_nothing(tmp_path, compiler, contract, grain):
    model = random_model(11)
    write(tmp_path / "one", model, contract, Target("dsp"), grain=grain)
    inputs = inputs_of(model)
    found = run_program(tmp_path / "one", inputs, expected(model, inputs).shape[1], compiler, "-O0")
    np.testing.assert_array_equal(found, expected(model, inputs))


@pytest.mark.parametrize(
    ("core", "kind", "grain"),
    [("cortex-m0plus", "armv6m", "row"), ("cortex-m4", "dsp", "row"), ("cortex-m4", "dsp", "pixel")],
)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_firmware_takes_the_planned_bytes_and_no_other_memory(tmp_path, contract, core, kind, grain):
    model = residual()
    planned = write(tmp_path / "one", model, contract, Target(kind), core, grain)
    board = device(core, ram_bytes=256 * 1024)
    firmware = build(tmp_path / "one", board)
    inputs = inputs_of(model, 2)
    rows = model.graph.inputs[0].shape[0] if contract == "push" else 0
    seen = emulate(firmware, board, identifier(model.graph.name), inputs, layer_symbols(model), 10, rows=rows)
    np.testing.assert_array_equal(seen.outputs, expected(model, inputs))
    assert seen.arena_bytes == planned.arena_bytes
    # Static data ends at a multiple of 8 bytes. An input outside of the arena lies in main.c.
    frame = inputs[0].size if contract == "read" else 0
    assert firmware.ram_bytes == -(-(planned.arena_bytes + frame) // 8) * 8
    assert sum(seen.layer_instructions.values()) == seen.instructions[0]
    assert all(seen.layer_instructions[name] > 0 for name in layer_symbols(model))


# The interface of an input that arrives row by row


@pytest.fixture(scope="module")
def pushed(tmp_path_factory) -> tuple[Path, ctypes.CDLL]:
    folder = tmp_path_factory.mktemp("pushed")
    write(folder, residual(), "push")
    library = ctypes.CDLL(str(build_host(folder, "residual")))
    for pointer in (library.residual_input_row, library.residual_output):
        pointer.restype = ctypes.c_void_p
    library.residual_push_row.argtypes = (ctypes.c_void_p,)
    return folder, library


def output_of(library: ctypes.CDLL) -> np.ndarray:
    return np.frombuffer(ctypes.string_at(library.residual_output(), 10), np.int8)


def test_rows_are_taken_one_by_one_and_the_last_gives_the_output(pushed):
    library = pushed[1]
    inputs = inputs_of(residual())
    for sample, answer in zip(inputs, expected(residual(), inputs), strict=True):
        states = [library.residual_push_row(row.ctypes.data) for row in sample]
        assert states == [0] * 19 + [1]
        np.testing.assert_array_equal(output_of(library), answer)


def test_rows_may_be_written_where_they_are_read(pushed):
    library = pushed[1]
    inputs = inputs_of(residual())
    for sample, answer in zip(inputs, expected(residual(), inputs), strict=True):
        for row in sample:
            ctypes.memmove(library.residual_input_row(), row.ctypes.data, row.nbytes)
            library.residual_push_row(library.residual_input_row())
        np.testing.assert_array_equal(output_of(library), answer)


def test_reset_forgets_an_unfinished_input(pushed):
    library = pushed[1]
    first, second = inputs_of(residual(), 2)
    for row in first[:12]:
        assert library.residual_push_row(row.ctypes.data) == 0
    assert library.residual_push_row(None) == -1
    library.residual_reset()
    for row in second:
        library.residual_push_row(row.ctypes.data)
    np.testing.assert_array_equal(output_of(library), expected(residual(), second[None])[0])


def test_run_begins_anew_and_real_numbers_are_quantized_by_rows(pushed):
    folder, library = pushed
    model = residual()
    inputs = inputs_of(model)
    library.residual_push_row(inputs[0][0].ctypes.data)
    found = HostLibrary(folder / "residual.so", "residual", inputs[0].size, 10).run(inputs)
    np.testing.assert_array_equal(found, expected(model, inputs))
    entry, last = model.quantization["input"], model.quantization[model.graph.outputs[0]]
    real, output = entry.dequantize(inputs[0]).astype(np.float32), np.zeros(10, np.float32)
    library.residual_run_float.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    assert library.residual_run_float(real.ctypes.data, output.ctypes.data) == 0
    np.testing.assert_array_equal(output, last.dequantize(expected(model, inputs[:1])[0]))


def test_the_header_tells_how_rows_are_given(pushed):
    header = (pushed[0] / "model.h").read_text()
    assert "#define RESIDUAL_INPUT_ROWS 20\n#define RESIDUAL_INPUT_ROW_BYTES 32\n" in header
    assert "residual_input(void)" not in header
    assert "camera_read_row(residual_input_row());" in header


# The other contracts


def test_a_kept_input_is_left_as_it_is(tmp_path):
    model = residual()
    write(tmp_path, model, "keep")
    library = ctypes.CDLL(str(build_host(tmp_path, "residual")))
    library.residual_input.restype = library.residual_output.restype = ctypes.c_void_p
    library.residual_run.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    (sample,) = inputs_of(model, 1)
    ctypes.memmove(library.residual_input(), sample.ctypes.data, sample.size)
    for _ in range(2):
        assert library.residual_run(library.residual_input(), library.residual_output()) == 0
        np.testing.assert_array_equal(output_of(library), expected(model, sample[None])[0])
    assert ctypes.string_at(library.residual_input(), sample.size) == sample.tobytes()
    assert "An inference leaves the input as it is." in (tmp_path / "model.h").read_text()


def actions_of(numbers: list[int], begin: int) -> Iterator[int]:
    """The actions of a program of kernels/loops.h, in order."""
    at, opened = 0, []
    while at < len(numbers):
        if numbers[at] == begin:
            opened.append([at + 2, numbers[at + 1]])
            at += 2
        elif numbers[at] == begin + 1:
            opened[-1][1] -= 1
            assert numbers[at + 1] == at - opened[-1][0]
            at = opened[-1][0] if opened[-1][1] else at + 2
            if at > opened[-1][0]:
                opened.pop()
        else:
            yield numbers[at]
            at += 1
        assert len(opened) <= LEVELS


@pytest.mark.parametrize("grain", ["row", "pixel"])
def test_the_emitted_actions_are_the_plans(tmp_path, grain):
    """The program, followed with the cases of the switch, is the plan's actions: names, rows, and where rows go."""
    model = residual()
    planned = write(tmp_path, model, "push", grain=grain)
    source = (tmp_path / "model.c").read_text()
    symbols = {symbol: name for name, symbol in layer_symbols(model).items()}
    cases = {}
    for number, text in re.findall(r"case (\d+):\n +(.*);", source):
        if found := re.match(r"(\w+)\(fired\[\d+\]\+\+, (\d+)\)", text):
            cases[int(number)] = ("fire", symbols[found[1]], int(found[2]) & 1)
        elif found := re.match(r"mj_ring_rest\((\w+)_ring", text):
            cases[int(number)] = ("rest", symbols.get(found[1], "input"), 0)
        else:
            cases[int(number)] = ("arrive", "input", None)
    table = re.search(r"residual_actions\[\d+\] = \{([^}]*)\}", source)
    numbers = [int(number) for number in table[1].split(",") if number.strip()]
    done = [cases[number] for number in actions_of(numbers, len(cases))]
    assert [(do, name) for do, name, _ in done] == [(action.do, action.name) for action in planned.actions]
    for (do, _, fresh), action in zip(done, planned.actions, strict=True):
        assert do != "fire" or bool(fresh) == action.fresh


def test_actions_in_another_order_are_refused(tmp_path):
    model = residual()
    planned = stream_plan(model, grain="row")
    first, second = [i for i, action in enumerate(planned.actions) if action.name == "stem"][:2]
    swapped = list(planned.actions)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    with pytest.raises(PlanError):
        emit(model, replace(planned, actions=tuple(swapped)), device(), tmp_path)
    assert list(tmp_path.iterdir()) == []
