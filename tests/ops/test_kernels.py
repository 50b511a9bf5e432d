"""Every operator's emitted C against its integer semantics, bit for bit: on this computer and in the emulator."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from millijoule.ops import Conv2d, Dense
from millijoule.target import Target
from tests.ops.batch import CORES, HAS_ARM_GCC, KINDS, Batch, Outputs, everywhere, of_one_input
from tests.ops.cases import CASES, INT8_CASES, int8_inputs, int8_model

MODELS = {name: of_one_input(int8_model(name), name) for name in INT8_CASES}
INPUTS = {
    name: np.concatenate([array.reshape(len(array), -1) for array in int8_inputs(name)], axis=1).reshape(
        -1, *MODELS[name].graph.inputs[0].shape
    )
    for name in INT8_CASES
}


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    with everywhere(tmp_path_factory.mktemp, MODELS, INPUTS, by_gcc=["cortex-m0plus"]) as outputs:
        yield outputs


@pytest.mark.parametrize("name", INT8_CASES)
@pytest.mark.parametrize("place", [*KINDS, *CORES])
def test_emitted_c_equals_int8(batches: dict[str, Future[Outputs]], place: str, name: str):
    model = MODELS[name]
    expected = model.run(INPUTS[name])[name]
    np.testing.assert_array_equal(batches[place].result()[name].reshape(expected.shape), expected)


def check(outputs: Outputs) -> None:
    for name, found in outputs.items():
        expected = MODELS[name].run(INPUTS[name])[name]
        np.testing.assert_array_equal(found.reshape(expected.shape), expected, err_msg=name)


LAYERS = {name: MODELS[name] for name, case in CASES.items() if isinstance(case.op, Conv2d | Dense)}
NEEDS_GCC = pytest.mark.skipif(not HAS_ARM_GCC, reason="arm-none-eabi-gcc is not installed")


@pytest.mark.parametrize(("place", "contract"), [("host", ""), ("cortex-m4", ""), ("cortex-m4", "keep")])
def test_int16_weights_equal_int8(tmp_path, place: str, contract: str):
    batch = Batch.write(tmp_path, LAYERS, INPUTS, target=Target("dsp", wide_weights=True), contract=contract)
    check(batch.on_host(optimize="-O1") if place == "host" else batch.emulated())


@pytest.mark.parametrize(("compiler", "wide"), [("zig", False), pytest.param("gcc", True, marks=NEEDS_GCC)])
def test_layers_pixel_by_pixel_equal_int8(tmp_path, compiler: str, wide: bool):
    """The kernels that need no working memory, in the emulator."""
    target = Target("dsp", wide_weights=wide)
    check(Batch.write(tmp_path, LAYERS, INPUTS, target=target, contract="push", grain="pixel").emulated(compiler))


@NEEDS_GCC
def test_gcc_drops_no_layer(tmp_path):
    """GCC 12 for Arm took a layer that reads every other number for one without effects, unless told not to look."""
    models = {name: MODELS[name] for name in INT8_CASES if name.startswith("slice")}
    check(Batch.write(tmp_path, models, INPUTS).emulated(compiler="gcc"))
