"""Random networks, whole: the emitted C against the integer reference, for every kind of instructions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from millijoule import ops
from millijoule.target import Instructions, Target
from tests.ops.batch import Batch
from tests.ops.cases import has_int8
from tests.random_models import random_model

MODELS = {f"random_{seed}": random_model(seed) for seed in range(24)}
INPUTS = {
    name: np.random.default_rng(0).integers(-128, 128, (4, *model.graph.inputs[0].shape), dtype=np.int8)
    for name, model in MODELS.items()
}


@pytest.mark.parametrize("kind", get_args(Instructions))
def test_random_networks_on_this_computer(tmp_path, kind):
    outputs = Batch.write(tmp_path, MODELS, INPUTS, target=Target(kind)).on_host()
    for name, model in MODELS.items():
        expected = model.run(INPUTS[name])[model.graph.outputs[0]]
        np.testing.assert_array_equal(outputs[name].reshape(expected.shape), expected, err_msg=name)


def test_random_networks_in_the_emulator(tmp_path):
    outputs = Batch.write(tmp_path, MODELS, INPUTS, core="cortex-m4").emulated()
    for name, model in MODELS.items():
        expected = model.run(INPUTS[name])[model.graph.outputs[0]]
        np.testing.assert_array_equal(outputs[name].reshape(expected.shape), expected, err_msg=name)


def test_random_networks_have_every_operator_with_an_integer_form():
    found = {type(node.op) for seed in range(400) for node in random_model(seed).graph.nodes}
    known = {getattr(ops, name) for name in ops.__all__} - {ops.Opaque}
    assert found == {operator for operator in known if has_int8(operator)}
    assert len({model.graph.nodes for model in MODELS.values()}) == len(MODELS)
