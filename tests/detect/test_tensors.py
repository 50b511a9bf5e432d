"""Boxes of torch: those of numpy, to the last bit of int8 outputs, nearly so of real ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from millijoule import boxes
from millijoule.detect import tensors
from tests.test_emit_boxes import LEAST, MODELS, inputs_of


@pytest.mark.parametrize("name", MODELS)
def test_int8_outputs(name):
    model = MODELS[name]
    values = model.run(inputs_of(model, 200))
    outputs = {output: torch.from_numpy(values[output]) for output in model.graph.outputs}
    expected = boxes.detect(model.boxes, values, model.quantization, LEAST)
    found = tensors.detect(model.boxes, outputs, model.quantization, LEAST)
    assert sum(map(len, expected)) > 100
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_array_equal(ours.scores.view(np.int32), theirs.scores.view(np.int32))
        np.testing.assert_array_equal(ours.corners.view(np.int32), theirs.corners.view(np.int32))


@pytest.mark.parametrize("name", MODELS)
def test_real_outputs(name):
    model = MODELS[name]
    values = {
        output: model.quantization[output].dequantize(array)
        for output, array in model.run(inputs_of(model, 3)[:3]).items()
    }
    expected = boxes.decode(model.boxes, values, threshold=0.4)
    without_suppression = boxes.BoxCoding(**{**vars(model.boxes), "overlap": 1.0, "most": 1000})
    found = tensors.detect(
        without_suppression, {key: torch.from_numpy(value) for key, value in values.items()}, None, 0.4
    )
    for ours, theirs in zip(found, expected, strict=True):
        # Of scores that differ in their last bit the order may differ too.
        np.testing.assert_allclose(np.sort(ours.scores), np.sort(theirs.scores), rtol=1e-6)
        np.testing.assert_allclose(np.sort(ours.corners, axis=0), np.sort(theirs.corners, axis=0), rtol=1e-5, atol=1e-4)
