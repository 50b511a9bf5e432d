"""Numbers of PyTorch files in networks whose structure is known: outputs equal torch's, what does not fit is told."""

import json

import numpy as np
import pytest

import millijoule as mj
from millijoule.cli import main
from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.ops import BatchNorm, Conv2d, ConvTranspose2d, Dense, Flatten, LayerNorm, MaxPool2d, PRelu, Relu

torch = pytest.importorskip("torch")
nn = torch.nn


def convolutions():
    build = Builder("net", (6, 5, 3))
    build("a", Conv2d(channels=4, kernel=3, bias=False))
    build("a_norm", BatchNorm(epsilon=1e-5))
    build("b", Conv2d(channels=8, kernel=(2, 1), groups=4))
    build("slope", PRelu())
    build("flat", Flatten())
    build("relu", Relu())
    build("fc", Dense(features=5))
    layers = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 8, (2, 1), groups=4), nn.PReLU(8)
    return build.graph(), nn.Sequential(*layers, nn.Flatten(), nn.ReLU(), nn.Linear(8 * 3 * 3, 5))


def transposed():
    build = Builder("net", (3, 4, 4))
    build("up", ConvTranspose2d(channels=6, kernel=3, stride=2, groups=2))
    return build.graph(), nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2))


def pointwise_as_dense():
    build = Builder("net", (1, 1, 7))
    build("one", Conv2d(channels=4, kernel=1))
    build("two", Dense(features=3))
    return build.graph(), nn.Sequential(nn.Conv2d(7, 4, 1), nn.Conv2d(4, 3, 1), nn.Flatten())


def dense_as_pointwise():
    build = Builder("net", (1, 1, 7))
    build("one", Conv2d(channels=4, kernel=1))
    return build.graph(), nn.Sequential(nn.Flatten(), nn.Linear(7, 4), nn.Unflatten(1, (4, 1, 1)))


def dense_behind_a_pool():
    build = Builder("net", (6, 4, 3))
    build("pool", MaxPool2d(kernel=2))
    build("one", Dense(features=8))
    build("norm", LayerNorm())
    build("two", Dense(features=3, bias=False))
    layers = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 8), nn.LayerNorm(8, eps=1e-6), nn.Linear(8, 3, bias=False)
    return build.graph(), nn.Sequential(*layers)


def disturbed(module):
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape) + 0.1 if "var" in name else torch.randn(tensor.shape))
    return module.eval()


MAKERS = (convolutions, transposed, pointwise_as_dense, dense_as_pointwise, dense_behind_a_pool)


@pytest.mark.parametrize("make", MAKERS)
def test_outputs_equal_those_of_torch(make, tmp_path):
    from millijoule.train.network import activations

    torch.manual_seed(0)
    graph, module = make()
    disturbed(module)
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3, "optimizer": {"lr": torch.tensor(0.1)}, "state_dict": module.state_dict()}, path)
    model = mj.load(path, network=graph)
    assert model.graph == graph
    assert "weights.pth were put into the layers one after the other" in model.notes[0]
    x = np.random.default_rng(0).standard_normal((4, *graph.inputs[0].shape), np.float32)
    (found,) = activations(model, x)
    with torch.no_grad():
        expected = module(torch.from_numpy(x).permute(0, 3, 1, 2))
    expected = expected.permute(0, 2, 3, 1).numpy() if expected.ndim == 4 else expected.numpy()
    np.testing.assert_allclose(found[graph.outputs[0]], expected, rtol=1e-5, atol=1e-5)


def two_layers():
    build = Builder("net", (5, 5, 2))
    build("first", Conv2d(channels=2, kernel=3))
    build("second", Conv2d(channels=2, kernel=3))
    return build.graph()


def test_layers_of_the_same_names_may_come_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{layer}.weight": rng.standard_normal((2, 2, 3, 3)) for layer in ("second", "first")}
    arrays |= {f"{layer}.bias": rng.standard_normal(2) for layer in ("first", "second")}
    path = tmp_path / "weights.pt"
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    model = mj.load(path, network=two_layers())
    assert model.notes == ()
    for layer in ("first", "second"):
        expected = arrays[f"{layer}.weight"].transpose(0, 2, 3, 1).astype(np.float32)
        np.testing.assert_array_equal(model.weights[f"{layer}.weight"], expected)


def refusal(arrays, path, graph):
    torch.save(arrays, path)
    with pytest.raises(ModelError) as error:
        mj.load(path, network=graph)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_every_layer_that_does_not_fit_is_told_with_both_shapes(tmp_path):
    path = tmp_path / "weights.pth"
    module = nn.Sequential(nn.Conv2d(2, 2, 5), nn.Conv2d(2, 2, 3, bias=False), nn.Linear(2, 7))
    text = refusal(module.state_dict(), path, two_layers())
    for words in (
        "do not fit 'net'",
        "layer 'first' takes weight (2, 2, 3, 3) and bias (2,), '0' has weight (2, 2, 5, 5) and bias (2,)",
        "layer 'second' takes weight (2, 2, 3, 3) and bias (2,), '1' has weight (2, 2, 3, 3)",
        "'2' has weight (7, 2) and bias (7,), which no layer takes",
    ):
        assert words in text
    text = refusal({"a.weight": torch.zeros(2, 2, 3, 3), "a.bias": torch.zeros(2)}, path, two_layers())
    assert "layer 'second' takes weight (2, 2, 3, 3) and bias (2,), the file has no more" in text
    assert "first" not in text
    assert "and 27 more" in refusal({"a.weight": torch.zeros(1)}, path, mj.zoo.get("resnet20"))


def test_numbers_that_are_none(tmp_path):
    path = tmp_path / "weights.pth"
    build = Builder("net", (4,))
    build("fc", Dense(features=2, bias=False))
    assert "holds no tensors" in refusal({"epoch": 3}, path, build.graph())
    assert "NaN" in refusal({"fc.weight": torch.full((2, 4), torch.nan)}, path, build.graph())
    assert "sparse" in refusal({"fc.weight": torch.eye(2, 4).to_sparse()}, path, build.graph())
    with pytest.raises(ModelError, match=r"no such file"):
        mj.load(tmp_path / "absent.pth", network=build.graph())
    with pytest.raises(ModelError, match=r"net\.onnx: numbers for 'net' can be read from \.bin"):
        mj.load(tmp_path / "net.onnx", network=build.graph())


def safetensors(arrays):
    """The bytes of a file: name → (type, array)."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (kind, array) in arrays.items():
        place = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_safetensors(tmp_path):
    path = tmp_path / "weights.safetensors"
    exact = np.array([[1.5, -2.0, 0.25, 3.0], [0.5, 8.0, -1.0, 0.0]])
    build = Builder("net", (4,))
    build("fc", Dense(features=2, bias=False))
    upper_half = (exact.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    for kind, array in (("F64", exact), ("F32", exact.astype("f4")), ("F16", exact.astype("f2")), ("BF16", upper_half)):
        path.write_bytes(safetensors({"fc.weight": (kind, array), "fc.num_batches_tracked": ("I64", np.array(3))}))
        np.testing.assert_array_equal(mj.load(path, network=build.graph()).weights["fc.weight"], exact)
    whole = safetensors({"fc.weight": ("F32", exact.astype("f4"))})
    for data, words in (
        (whole[:-4], "the file is truncated"),
        (safetensors({"fc.weight": ("F64", exact.astype("f4"))}), "F64 of shape"),
        (whole.replace(b'"shape": [2, 4]', b'"shape":[-2,-4]'), "header is damaged"),
    ):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=words):
            mj.load(path, network=build.graph())


def lenet5():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)), *(nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10))
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(lenet5().state_dict(), "weights.pth")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 32, 32, 1), dtype=np.uint8), np.arange(40) % 10
    np.savez("data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return tmp_path


def deployed(capsys, *arguments):
    code = main(["deploy", *arguments, "--device", "host", "--data", "data.npz", "--out", "out", "--json"])
    return code, *capsys.readouterr()


def test_deploys_a_network_of_the_zoo_with_given_weights(capsys, folder):
    code, out, err = deployed(capsys, "lenet5", "--weights", "weights.pth", "--mean", "0.4", "--std", "0.3")
    assert code == 0, err
    report = json.loads(out)
    assert report["bit_exact"] is True
    assert any("weights.pth" in note for note in report["notes"])


def test_evaluates_a_network_of_the_zoo_with_given_weights(capsys, folder):
    from dataclasses import replace

    from millijoule.train import accuracy

    arguments = ("--weights", "weights.pth", "--mean", "0.4", "--std", "0.3")
    assert main(["evaluate", "lenet5", *arguments, "--data", "data.npz", "--json"]) == 0
    model = replace(mj.load("weights.pth", network=mj.zoo.lenet5()), preprocess={"mean": [0.4], "std": [0.3]})
    data = mj.load_data("data.npz")
    assert json.loads(capsys.readouterr().out)["accuracy"] == accuracy(model, data.x_test, data.y_test)
    (folder / "lenet5").mkdir()
    assert main(["evaluate", "lenet5", "--data", "data.npz"]) == 2
    assert "network of the zoo, without numbers: give --weights, or train it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet5", "--mean", "0.4"), "trained elsewhere"),
        (("lenet5", "--weights", "weights.pth", "--mean", "0.1,0.2,0.3"), "--mean is [0.1, 0.2, 0.3]; 1 numbers"),
        (("lenet5", "--weights", "weights.pth", "--std", "0"), "above 0"),
        (("lenet5", "--weights", "absent.pth"), "absent.pth: there is no such file"),
        (("resnet20", "--weights", "weights.pth"), "layer 'stem' takes weight (16, 3, 3, 3), '0' has weight"),
        (("weights.pth", "--weights", "weights.pth"), "has its own numbers; --weights are for a network of the zoo"),
        (("weights.pth",), "deploy a network of the zoo with --weights"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_together(capsys, folder, arguments, words):
    code, out, err = deployed(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (folder / "out").exists()
