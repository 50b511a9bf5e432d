"""Both emulators execute the same instructions: in total, in each layer, and with the same memory accesses."""

import shutil

import numpy as np
import pytest

from millijoule.errors import ToolError
from millijoule.run import qemu
from millijoule.run.emulator import MODELS, emulate
from millijoule.run.toolchain import build
from tests.run.project import ADD, OUTPUT_BYTES, assembly, device, expected, inputs, symbols, write_project
from tests.run.test_emulator import COMPILERS, CONDITIONAL_LOOP, LOOP, RICH

needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="no qemu-system-arm")


@needs_qemu
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", [core for core in qemu.MACHINES if core in MODELS])
def test_both_emulators_agree_exactly(tmp_path, core, compiler):
    machine = qemu.machine_device(core)
    layers = {"loop": LOOP, **RICH} | ({} if core == "cortex-m0plus" else {"conditional": CONDITIONAL_LOOP})
    linked = build(write_project(tmp_path, machine, layers), machine, compiler)
    samples = inputs(3)
    arguments = (linked, machine, "tiny", samples, symbols(layers), OUTPUT_BYTES)
    theirs, ours = qemu.run_machine(*arguments), emulate(*arguments)
    np.testing.assert_array_equal(theirs.outputs, expected(samples))
    np.testing.assert_array_equal(ours.outputs, expected(samples))
    assert theirs.layer_instructions == ours.layer_instructions
    assert theirs.layer_instructions["loop"] == 22
    assert theirs.instructions == ours.instructions
    assert len(set(ours.instructions)) > 1
    assert theirs.stack_bytes == ours.stack_bytes
    # QEMU counts a pair of loads as one access of 8 bytes or as two of 4: only the bytes must agree.
    for memory, found in ours.accesses.items():
        for key in ("read_bytes", "written_bytes"):
            assert theirs.accesses[memory][key] == found[key], memory


@needs_qemu
def test_firmware_of_a_board_runs_on_the_machine_with_its_core(tmp_path):
    board, layers = device("cortex-m33"), {"loop": LOOP, "add": ADD}
    firmware = build(write_project(tmp_path, board, layers), board)
    seen: list[int] = []
    arguments = (firmware, board, "tiny", inputs(4), symbols(layers), OUTPUT_BYTES)
    theirs = qemu.emulate_qemu(*arguments, seen.append)
    assert theirs.instructions == emulate(*arguments).instructions
    assert theirs.device == board.name
    assert "mps2-an505" in theirs.emulator
    assert seen == sorted(set(seen))
    assert all(1 <= done <= 4 for done in seen)


# 3 + 1 + 4 * 3 + 1 instructions.
VECTORS = assembly(
    "mov r3, lr \n movs r0, #4 \n vmov.i32 q0, #1 \n dls lr, r0 \n"
    "1: vadd.i32 q0, q0, q0 \n vmladava.s8 r0, q0, q0 \n le lr, 1b \n bx r3"
)


@needs_qemu
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", ["cortex-m55", "cortex-m85"])
def test_vectors_and_their_loops_are_counted(tmp_path, core, compiler):
    board = device(core)
    layers = {"loop": LOOP, "vectors": VECTORS, **RICH}
    firmware = build(write_project(tmp_path, board, layers), board, compiler)
    seen = qemu.emulate_qemu(firmware, board, "tiny", inputs(3), symbols(layers), OUTPUT_BYTES)
    np.testing.assert_array_equal(seen.outputs, expected(inputs(3)))
    assert (seen.layer_instructions["loop"], seen.layer_instructions["vectors"]) == (22, 3 + 1 + 4 * 3 + 1)
    assert sum(seen.layer_instructions.values()) == seen.instructions[0]


@needs_qemu
@pytest.mark.parametrize(
    ("body", "what"),
    [("udf #0", "endless loop"), ("1: nop \n b 1b", "without a result")],
)
def test_a_firmware_that_hangs_is_stopped(tmp_path, monkeypatch, body, what):
    monkeypatch.setattr(qemu, "INSTRUCTION_LIMIT", 100_000)
    board, layers = device(), {"add": ADD, "bad": assembly(body)}
    firmware = build(write_project(tmp_path, board, layers), board)
    with pytest.raises(ToolError, match=f"in QEMU in layer 'bad'.*{what}"):
        qemu.emulate_qemu(firmware, board, "tiny", inputs(), symbols(layers), OUTPUT_BYTES)


@needs_qemu
def test_a_model_too_large_for_the_machine_says_so(tmp_path):
    board = device("cortex-m0plus", ram_bytes=128 * 1024)
    firmware = build(write_project(tmp_path, board, {"add": ADD}, arena_bytes=20_000), board)
    with pytest.raises(ToolError, match=r"cortex-m0plus is too small.*use unicorn"):
        qemu.emulate_qemu(firmware, board, "tiny", inputs(), symbols({"add": ADD}), OUTPUT_BYTES)


def test_missing_qemu_is_named_with_the_command_that_gets_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="apt-get install qemu-system-arm"):
        qemu.qemu_version(device("cortex-m4"))
    with pytest.raises(ToolError, match="apt-get install qemu-system-arm, or choose the emulator none"):
        qemu.qemu_version(device("cortex-m55"))


def test_cores_without_a_machine_are_named():
    with pytest.raises(ToolError, match="cortex-m23"):
        qemu.machine_device("cortex-m23")
