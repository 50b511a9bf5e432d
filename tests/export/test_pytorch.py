"""PyTorch's formats: what is exported is loaded again, and computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import millijoule
from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.export import pytorch
from millijoule.model import Model
from millijoule.ops import ConvTranspose2d
from millijoule.train.initial import initial_weights
from millijoule.train.network import network_of, predict
from tests.detectors import squares
from tests.networks import small_graph
from tests.ops.cases import float_model

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)


def trained(graph) -> Model:
    """With numbers that are all different."""
    weights = initial_weights(graph, 0)
    return Model(
        graph, {key: array + RNG.uniform(0.01, 0.1, array.shape).astype("f4") for key, array in weights.items()}
    )


@pytest.mark.parametrize("to", ["pt", "safetensors"])
@pytest.mark.parametrize("graph", [zoo.lenet5(), zoo.lenet5_1998(), zoo.resnet8(), small_graph()], ids=lambda g: g.name)
def test_numbers_come_back_as_they_were(graph, to, tmp_path):
    model = trained(graph)
    path = millijoule.export(model, to, tmp_path / f"net.{to}")
    loaded = millijoule.load(path, network=graph)
    assert loaded.notes == ()
    for name, array in model.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array)


@pytest.mark.parametrize("name", ["conv_transpose2d_groups", "prelu", "conv2d_groups"])
def test_layouts_of_layers_come_back(name, tmp_path):
    model = float_model(name)
    loaded = millijoule.load(millijoule.export(model, "pt", tmp_path / "net.pt"), network=model.graph)
    for key, array in model.weights.items():
        np.testing.assert_array_equal(loaded.weights[key], array)


def test_a_state_dict_is_in_torchs_layout(tmp_path):
    """Held against torch's own layers, which read it with their own names."""
    model = float_model("conv_transpose2d_groups")
    op = model.graph.nodes[0].op
    assert isinstance(op, ConvTranspose2d)
    theirs = torch.nn.ConvTranspose2d(4, 6, op.kernel, op.stride, groups=2, dilation=2, bias=False)
    arrays = torch.load(millijoule.export(model, "pt", tmp_path / "net.pt"))
    theirs.load_state_dict({name.removeprefix("op."): tensor for name, tensor in arrays.items()})
    x = RNG.standard_normal((3, *model.graph.inputs[0].shape), np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(predict(model, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("graph", [zoo.lenet5(), zoo.ds_cnn(), small_graph()], ids=lambda g: g.name)
def test_an_exported_program_computes_the_same_and_comes_back(graph, tmp_path):

    model = trained(graph)
    path = millijoule.export(model, "pt2", tmp_path / "net.pt2")
    x = RNG.standard_normal((1, *graph.inputs[0].shape), np.float32)
    expected = predict(model, x)
    with torch.no_grad():
        theirs = torch.export.load(path).module()(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous())
    np.testing.assert_allclose(theirs.numpy(), expected, rtol=1e-6, atol=1e-6)
    loaded = millijoule.load(path, trust=True)
    np.testing.assert_allclose(predict(loaded, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("to", ["pt2", "pt", "safetensors"])
@pytest.mark.parametrize("finds_boxes", [False, True])
def test_preprocessing_labels_and_boxes_come_back(to, finds_boxes, tmp_path):
    classifier = trained(zoo.lenet5())
    classifier = replace(classifier, labels=tuple("abcdefghij"), preprocess={"mean": [0.4], "std": [0.2]})
    model = squares() if finds_boxes else classifier
    path = millijoule.export(model, to, tmp_path / f"net.{to}")
    loaded = millijoule.load(path, trust=True, network=None if to == "pt2" else model.graph)
    assert (loaded.preprocess, loaded.labels) == (model.preprocess, model.labels)
    inputs = torch.from_numpy(RNG.random((1, *model.graph.inputs[0].shape), np.float32))
    ours, theirs = (network_of(each)(inputs) for each in (model, loaded))
    names = dict(zip(loaded.graph.outputs, model.graph.outputs, strict=True))
    for other, mine in names.items():
        torch.testing.assert_close(theirs[other], ours[mine], rtol=1e-6, atol=1e-6)
    assert (loaded.boxes and loaded.boxes.renamed(names)) == model.boxes


@pytest.mark.parametrize("to", ["pt2", "pt", "safetensors"])
def test_damaged_metadata_is_told(to, tmp_path, monkeypatch):
    monkeypatch.setattr(pytorch, "to_text", lambda model: '{"labels": 3}')
    path = millijoule.export(trained(zoo.lenet5()), to, tmp_path / f"net.{to}")
    with pytest.raises(ModelError, match=r"net\.\w+: its metadata 'millijoule' is damaged: export the model again$"):
        millijoule.load(path, trust=True, network=None if to == "pt2" else zoo.lenet5())


@pytest.mark.parametrize("to", ["pt2", "pt", "safetensors"])
def test_int8_models_are_refused(to, tmp_path):
    from tests.networks import small_int8_model

    with pytest.raises(ModelError, match=f"^model 'small' is int8; '{to}' holds float numbers: choose .*tflite"):
        millijoule.export(small_int8_model(), to, tmp_path / "net")
    assert not list(tmp_path.iterdir())
