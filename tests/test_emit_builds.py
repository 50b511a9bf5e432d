"""The emitted C of every operator under every compiler, for every core, and under sanitizers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from millijoule.cost.device import COMPILED_FOR
from millijoule.run.host import run_program
from millijoule.target import Target
from tests.ops.batch import Batch
from tests.ops.cases import CASES
from tests.ops.test_kernels import INPUTS, MODELS

# The first case of each operator, and of convolutions the depthwise and the padded one, which have loops of their own.
FIRST = {type(CASES[name].op): name for name in reversed(MODELS)}
CHOSEN = [*reversed(FIRST.values()), "conv2d_same_strided", "conv2d_depthwise", "conv2d_depthwise_multiplier"]
CORES = sorted(set(COMPILED_FOR.values()))


def installed(compiler: str, *more: str, program: str = ""):
    missing = not shutil.which(program or compiler)
    reason = f"{program or compiler} is not installed"
    return pytest.param(compiler, *more, marks=pytest.mark.skipif(missing, reason=reason))


def expected(names: list[str]) -> dict[str, np.ndarray]:
    return {name: MODELS[name].run(INPUTS[name])[name].reshape(len(INPUTS[name]), -1) for name in names}


def assert_equal(found: dict[str, np.ndarray], names: list[str]) -> None:
    for name, outputs in expected(names).items():
        np.testing.assert_array_equal(found[name], outputs, err_msg=name)


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Batch:
    return Batch.write(tmp_path_factory.mktemp("batch"), {name: MODELS[name] for name in CHOSEN}, INPUTS)


@pytest.mark.parametrize("optimize", ["-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["zig", installed("gcc"), installed("clang")])
def test_host_compilers(batch, compiler, optimize):
    assert_equal(batch.on_host(compiler, optimize), CHOSEN)


@pytest.mark.parametrize(
    ("compiler", "optimize"),
    [
        ("zig", "-O2"),
        installed("gcc", "-O2", program="arm-none-eabi-gcc"),
        installed("gcc", "-Os", program="arm-none-eabi-gcc"),
    ],
)
@pytest.mark.parametrize("core", CORES)
def test_cores(tmp_path, core, compiler, optimize):
    if core == "cortex-m55" and not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    batch = Batch.write(tmp_path, {name: MODELS[name] for name in CHOSEN}, INPUTS, core=core)
    assert_equal(batch.emulated(compiler, optimize), CHOSEN)


@pytest.mark.parametrize(
    ("compiler", "sanitizers", "instructions"),
    [
        installed("gcc", "address,undefined", "scalar"),
        installed("gcc", "address,undefined", "armv6m"),
        installed("clang", "address,undefined", "dsp"),
        installed("gcc", "address,undefined", "mve"),
        installed("clang", "memory", "dsp"),
    ],
)
def test_sanitizers_find_nothing(tmp_path, compiler, sanitizers, instructions):
    """All cases, with every input that they have: addresses, undefined behaviour, reads of what nothing wrote."""
    batch = Batch.write(tmp_path, MODELS, INPUTS, target=Target(instructions))
    inputs, (_, output_bytes) = batch.all_inputs(), batch.sizes()
    outputs = run_program(tmp_path, inputs, output_bytes, compiler, "-O0", sanitize=sanitizers.split(","))
    assert_equal(batch.split(outputs), list(MODELS))
