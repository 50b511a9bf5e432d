"""kernels/host on processors with and without its vectors, and when it is chosen."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from millijoule.target import Target
from tests.ops.batch import Batch
from tests.ops.test_dsp import LAYERS, calls
from tests.ops.test_kernels import INPUTS, MODELS

X86 = platform.machine() in ("x86_64", "AMD64")


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_kernel_for_the_host(name):
    (chosen,) = calls(name, Target("host"))
    assert chosen.function.startswith("mj_host_")
    by_lanes = "depthwise" in name and "multiplier" not in name and "zero_point" not in name
    assert ("depthwise" in chosen.function) == by_lanes


@pytest.mark.skipif(not X86, reason="names processors of x86-64")
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"])
def test_the_same_numbers_without_the_widest_vectors(tmp_path, processor):
    """Without AVX2, and with it but without AVX-512; `native` is tested with the other kinds."""
    models = {name: MODELS[name] for name in LAYERS}
    outputs = Batch.write(tmp_path, models, INPUTS, target=Target("host")).on_host(processor=processor)
    for name, model in models.items():
        expected = model.run(INPUTS[name])[name]
        np.testing.assert_array_equal(outputs[name].reshape(expected.shape), expected, err_msg=name)
