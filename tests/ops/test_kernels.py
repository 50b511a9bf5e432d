"""Every operator's emitted C against its integer semantics, bit for bit: on this computer and in the emulator."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.ops.batch import Batch, of_one_input
from tests.ops.cases import CASES, INT8_CASES, int8_inputs, int8_model

KERNEL_CASES = [name for name in INT8_CASES if not CASES[name].no_kernel]
MODELS = {name: of_one_input(int8_model(name), name) for name in KERNEL_CASES}
INPUTS = {
    name: np.concatenate([array.reshape(len(array), -1) for array in int8_inputs(name)], axis=1).reshape(
        -1, *MODELS[name].graph.inputs[0].shape
    )
    for name in KERNEL_CASES
}
TARGETS = ("host", "cortex-m0plus", "cortex-m4")


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """Target → model → outputs; the targets are built and run beside each other, in threads."""

    def outputs(target: str, folder: Path) -> dict[str, np.ndarray]:
        batch = Batch.write(folder, "cortex-m4" if target == "host" else target, MODELS, INPUTS)
        return batch.on_host("zig") if target == "host" else batch.emulated()

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {target: pool.submit(outputs, target, tmp_path_factory.mktemp(target)) for target in TARGETS}


@pytest.mark.parametrize("name", KERNEL_CASES)
@pytest.mark.parametrize("target", TARGETS)
def test_emitted_c_equals_int8(batches: dict[str, Future[dict[str, np.ndarray]]], target: str, name: str):
    model = MODELS[name]
    expected = model.run(INPUTS[name])[name]
    np.testing.assert_array_equal(batches[target].result()[name].reshape(expected.shape), expected)
