"""Deployments with two arenas, one in a fast and one in a slow memory."""

import ctypes
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from millijoule.cost.device import load_device, target_of
from millijoule.deploy import deploy, plan_for
from millijoule.emit import emit
from millijoule.errors import DeviceError, DoesNotFit, OptionError
from millijoule.plan.streaming import StreamPlan, stream_plan, two_memories, verify_stream
from millijoule.report.deployment import tables
from millijoule.run.host import HostLibrary, build_host, run_program
from millijoule.target import CONTRACTS
from tests.plan.streaming.networks import random_model
from tests.report.test_table import shown
from tests.test_emit_builds import installed
from tests.test_emit_streamed import expected, inputs_of, named, residual

PLENTY = 100_000


def least_bytes(device: str, input: str) -> int:
    return stream_plan(residual(), input, target=target_of(load_device(device))).arena_bytes


@pytest.mark.parametrize(
    ("device", "input"), [*(("nucleo-h743zi", contract) for contract in CONTRACTS), ("corstone-300", "push")]
)
def test_each_arena_takes_the_planned_bytes_of_its_memory(tmp_path, device, input):
    """Unicorn runs firmware of the first board, only QEMU that of the second."""
    if device == "corstone-300" and not shutil.which("qemu-system-arm"):
        pytest.skip("no qemu-system-arm")
    fast = least_bytes(device, input) // 2
    found = deploy(residual(), device, ram=(fast, PLENTY), input=input, folder=tmp_path / "out", samples=2)
    assert found.bit_exact
    assert isinstance(found.plan, StreamPlan)
    assert found.plan.input == input
    memories = found.plan.memories
    assert 0 < memories.fast_bytes <= fast
    assert memories.slow_bytes > 0
    assert found.measurement.arena_bytes == memories.fast_bytes
    assert found.measurement.slow_arena_bytes == memories.slow_bytes
    # An input outside of the arenas lies in main.c.
    frame = 640 if input == "read" else 0
    assert found.build.ram_bytes == -(-(memories.fast_bytes + frame) // 8) * 8
    assert found.build.slow_bytes == memories.slow_bytes

    # Kernels read a row of what they are given at least once; what they compute, they write once.
    values = found.to_json()
    assert values["slow_traffic_planned_bytes"] == memories.traffic_bytes
    assert values["slow_traffic_bytes"] >= memories.traffic_bytes
    slow = values["accesses"]["slow"]
    assert values["slow_traffic_bytes"] == slow["read_bytes"] + slow["written_bytes"]
    assert (values["arena_planned_bytes"], values["arena_bytes"]) == (memories.fast_bytes,) * 2
    assert (values["slow_arena_planned_bytes"], values["slow_arena_bytes"]) == (memories.slow_bytes,) * 2
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == values

    page, text = (tmp_path / "out" / "report.html").read_text(), shown(tables.deployment(found), 120)
    for name, planned, measured in (
        ("Slow arena", memories.slow_bytes, memories.slow_bytes),
        ("Slow traffic", memories.traffic_bytes, values["slow_traffic_bytes"]),
    ):
        for kind, number in (("planned", planned), ("measured", measured)):
            assert f'{name}, {kind}</h3><div class="big">{number:,} ' in page
    assert "arena in slow memory</th>" in page
    assert re.search(rf"slow memory \(arena\), bytes +{memories.slow_bytes:,} +{memories.slow_bytes:,} ", text)
    assert re.search(rf"traffic with slow .* {memories.traffic_bytes:,} +{values['slow_traffic_bytes']:,}\n", text)
    assert f"in the slow memory lie '{found.plan.notes[0].split(chr(39))[1]}' (" in text


def test_what_fits_has_one_arena(tmp_path):
    found = deploy(residual(), "nucleo-h743zi", ram=(PLENTY, PLENTY), folder=tmp_path / "out", samples=1)
    assert found.bit_exact
    assert found.plan.slow_bytes == found.measurement.slow_arena_bytes == found.build.slow_bytes == 0
    assert "slow" not in found.to_json()["accesses"]
    for name in ("model.h", "model.c", "linker.ld"):
        assert "slow" not in (tmp_path / "out" / name).read_text().lower()


@pytest.mark.parametrize("seed", range(2))
def test_random_networks_equal_int8_on_this_computer(tmp_path, seed):
    model = named(random_model(seed), "random")
    target = target_of(load_device("host"))
    planned = two_memories(model, stream_plan(model, target=target).arena_bytes * 3 // 4, PLENTY, target=target)
    verify_stream(model, planned)
    assert planned.slow_bytes
    emit(model, planned, load_device("host"), tmp_path)
    inputs = inputs_of(model)
    answers = expected(model, inputs)
    library = HostLibrary(build_host(tmp_path, "random"), "random", inputs[0].size, answers.shape[1])
    np.testing.assert_array_equal(library.run(inputs), answers)


@pytest.mark.parametrize("compiler", [installed("gcc"), installed("clang")])
def test_sanitizers_find_nothing(tmp_path, compiler):
    planned = two_memories(residual(), least_bytes("host", "push") // 2, PLENTY, "push")
    emit(residual(), planned, load_device("host"), tmp_path)
    inputs = inputs_of(residual())
    np.testing.assert_array_equal(run_program(tmp_path, inputs, 10, compiler, "-O0"), expected(residual(), inputs))


def test_both_arenas_may_be_the_callers(tmp_path):
    planned = two_memories(residual(), least_bytes("host", "overwrite") // 2, PLENTY)
    emit(residual(), planned, load_device("host"), tmp_path)
    own = "_Alignas(16) int8_t residual_arena[RESIDUAL_ARENA_BYTES], residual_slow_arena[RESIDUAL_SLOW_ARENA_BYTES];"
    (tmp_path / "own.c").write_text(f'#include "model.h"\n{own}\n')
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c11", "-Werror", "-shared", "-fPIC"]
    command += ["-DRESIDUAL_OWN_ARENA", "-DRESIDUAL_OWN_SLOW_ARENA", "model.c", "own.c", "-o", "own.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = ctypes.CDLL(str(tmp_path / "own.so"))
    (sample,), output = inputs_of(residual(), 1), np.zeros(10, np.int8)
    assert found.residual_run(ctypes.c_void_p(sample.ctypes.data), ctypes.c_void_p(output.ctypes.data)) == 0
    np.testing.assert_array_equal(output, expected(residual(), sample[None])[0])


def test_two_memories_where_the_device_has_one(tmp_path):
    with pytest.raises(
        DeviceError, match=r"'nucleo-l4r5zi' has no second memory .* choose one of corstone-300"
    ) as error:
        deploy(residual(), "nucleo-l4r5zi", ram=(500, PLENTY), folder=tmp_path / "out")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ram", "message"),
    [
        ((500, 300_000), "300,000 bytes in SRAM1 to SRAM3; device 'nucleo-h743zi' has 294,912 there: 5,088 too many"),
        ((524_000, 1000), "524,000 bytes, beside 2,048 of stack, in AXI SRAM; .* has 524,288 there: 1,760 too many"),
    ],
)
def test_memories_that_are_too_small_are_named(ram, message):
    with pytest.raises(DoesNotFit, match=message):
        plan_for(residual(), load_device("nucleo-h743zi"), ram=ram)


def test_two_memories_are_an_aim_of_their_own():
    with pytest.raises(OptionError, match="leave --optimize out"):
        plan_for(residual(), load_device("nucleo-h743zi"), "ram", ram=(500, 1000))
    with pytest.raises(OptionError, match="no plan fits a fast memory of 5 bytes"):
        plan_for(residual(), load_device("nucleo-h743zi"), ram=(5, 1000))


@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="no qemu-system-arm")
def test_an_emulated_board_that_lacks_the_second_memory(tmp_path):
    """QEMU's machine for a Cortex-M0+ has one memory for data."""
    board = replace(load_device("nucleo-g0b1re"), slow=load_device("nucleo-h743zi").slow)
    with pytest.raises(DeviceError, match="'microbit' has no second memory"):
        deploy(residual(), board, ram=(600, PLENTY), emulator="qemu", folder=tmp_path / "out", samples=1)
    assert list(tmp_path.iterdir()) == []
