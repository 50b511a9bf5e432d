"""`train`, `evaluate`, `predict` and `deploy` of what was trained, as a user types them."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from millijoule.cli import main
from millijoule.train import load_data, load_run, predict, prepare
from millijoule.train.loop.settings import Settings, described
from tests.test_cli import assert_one_line_error, run
from tests.train.cases import stripes


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data.npz: stripes of 32x32 pixels."""
    monkeypatch.chdir(tmp_path)
    data = stripes(60, side=32)
    np.savez("data.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    return tmp_path


TRAIN = ("train", "lenet5", "--data", "data.npz", "--epochs", 4, "--batch-size", 8)


def test_a_network_is_trained_evaluated_asked_and_deployed(here, capsys):
    code, out, _ = run(capsys, *TRAIN, "--out", "run", "--flip", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["epochs"], result["images_trained_on"], result["folder"]) == (4, 4 * 54, "run")
    assert result["accuracy"] > 0.9
    assert result["notes"] == []
    names = {path.name for path in (here / "run").iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoint.npz", "report.html"}
    config = json.loads((here / "run" / "config.json").read_text())
    assert config["settings"]["flip"] is True
    assert config["settings"]["epochs"] == 4

    code, out, _ = run(capsys, "evaluate", "run", "--data", "data.npz", "--json")
    assert json.loads(out)["accuracy"] == result["accuracy"]
    code, out, _ = run(capsys, "evaluate", "run", "--data", "data.npz")
    assert "of 15 images right" in out
    code, out, _ = run(capsys, "evaluate", "run", "--data", "data.npz", "--mirror")
    assert "right, scores averaged with those of mirror images" in " ".join(out.split())

    Image.fromarray(stripes(60, side=32).x_test[0, :, :, 0]).save("image.png")
    code, out, _ = run(capsys, "predict", "run", "image.png", "--json")
    assert json.loads(out)[0]["classes"][0][0] == "0"

    code, out, _ = run(capsys, "look", "run", "--data", "data.npz", "--image", "image.png", "--json")
    assert sum(json.loads(out)["scores"].values()) == pytest.approx(1)
    assert "What lenet5 sees" in (here / "look.html").read_text()
    code, out, err = run(capsys, "look", "run", "--json")
    assert (code, out) == (2, "")
    assert err == "error: 'look.html' exists: add --force to replace it, or choose another --out\n"
    code, out, err = run(capsys, "look", "run", "--json", "--force")
    assert json.loads(out)["accuracy"] == result["accuracy"]
    assert err == "note: no --data: taking data.npz, on which it was trained\n"

    code, out, _ = run(capsys, "deploy", "run", "--data", "data.npz", "--device", "host", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"]["float"] == result["accuracy"]


STILL = ("--epochs", 1, "--learning-rate", 1e-9, "--batch-size", 8)


def weights_and_preprocess(folder: str):
    model = load_run(folder)
    return {name: array for name, array in model.weights.items() if not name.startswith("output")}, model.preprocess


def test_training_begins_with_the_numbers_of_a_trained_network(here, capsys):
    run(capsys, *TRAIN, "--out", "first")
    weights, preprocess = weights_and_preprocess("first")
    run(capsys, "export", "first", "--to", "safetensors", "--out", "first.safetensors")
    dark = np.load("data.npz")["x_train"] // 2
    kinds = {"same": np.arange(60) % 2, "more": np.arange(60) % 3}
    for name, labels in kinds.items():
        np.savez(f"{name}.npz", x_train=dark, y_train=labels, x_test=dark[:15], y_test=labels[:15])
    for source in ("first", "first.safetensors"):
        for kind in kinds:
            out = f"{kind}-{source}"
            begun = ("train", "lenet5", "--data", f"{kind}.npz", "--weights", source, *STILL, "--out", out)
            code, text, err = run(capsys, *begun, "--json")
            assert code == 0, err
            found, expected = weights_and_preprocess(out)
            assert expected == preprocess
            assert all(np.allclose(found[name], array, atol=1e-6) for name, array in weights.items())
            fresh = f"not in '{source}', so random at first: output.weight, output.bias"
            assert json.loads(text)["notes"] == ([fresh] if kind == "more" else [])
            assert json.loads((here / out / "config.json").read_text())["weights"] == source
    taken = np.allclose(*(load_run(name).weights["output.weight"] for name in ("first", "same-first")), atol=1e-6)
    assert taken


def test_a_file_learns_other_classes(here, capsys):
    """It begins with its own numbers, except in the last layer; batch-norm that it has lost is there again."""
    run(capsys, *TRAIN, "--out", "first")
    run(capsys, "export", "first", "--to", "onnx", "--out", "first.onnx")
    dark = np.load("data.npz")["x_train"]
    labels = np.arange(60) % 3
    np.savez("more.npz", x_train=dark, y_train=labels, x_test=dark[:15], y_test=labels[:15])
    begun = ("train", "first.onnx", "--weights", "first.onnx", "--data", "more.npz", *STILL)
    code, out, err = run(capsys, *begun, "--out", "more", "--json")
    assert code == 0, err
    assert "note: network 'first' gets 3 outputs; it had 2\n" in err
    assert "'first.onnx' has no batch-norm: it is trained on with one after each convolution" in err
    model, first = load_run("more"), load_run("first")
    kinds = [type(node.op).__name__ for node in model.graph.nodes]
    assert kinds.count("BatchNorm") == kinds.count("Conv2d") == 2
    assert model.weights["output.weight"].shape == (3, 84)
    inputs = prepare(dark, (32, 32, 1), first.preprocess)
    before, after = (predict(replace(each, graph=until_f6(each.graph)), inputs) for each in (first, model))
    # The file has its ReLU apart; the averages of batch-norm have moved with the epoch's batches.
    assert np.corrcoef(np.maximum(before, 0).ravel(), np.maximum(after, 0).ravel())[0, 1] > 0.99
    again = json.loads(run(capsys, "train", "--resume", "more", "--json")[1])
    assert again | {"notes": []} == json.loads(out) | {"notes": []}


def until_f6(graph):
    return replace(graph, outputs=("f6",))


def test_numbers_without_a_word_about_pixels(here, capsys):
    import torch

    run(capsys, *TRAIN, "--out", "first")
    run(capsys, "export", "first", "--to", "pt", "--out", "kept.pt")
    torch.save({name: array for name, array in torch.load("kept.pt").items() if "." in name}, "plain.pt")
    begun = ("train", "lenet5", "--data", "data.npz", "--weights", "plain.pt", *STILL)
    _, _, err = run(capsys, *begun, "--out", "measured")
    assert "'plain.pt' does not say how it expects pixels: they are normalised as measured (--mean, --std)" in err
    _, _, err = run(capsys, *begun, "--mean", "0.25", "--std", "0.5", "--out", "told")
    assert "pixels" not in err
    assert load_run("told").preprocess == {"mean": [0.25], "std": [0.5]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--weights", "none"), "'none' is not there: --weights names the folder of a training, a model or a state"),
        (("--weights", "data.npz"), "data.npz: not a TFLite file but a zip archive"),
        (("--weights", "other"), "'multilayer' in 'other' lacks 8 arrays of 'lenet5', first 'c1.weight'"),
        (("--weights", "other", "--mean", "0.5"), "'other' knows what it was trained on"),
        (("--mean", "0.5"), "--mean and --std say what a classifier's --weights expects of pixels"),
    ],
)
def test_numbers_of_another_network_are_refused(here, capsys, arguments, words):
    run(capsys, "train", "multilayer", "--data", "data.npz", "--epochs", 1, "--out", "other")
    assert_one_line_error(run(capsys, "train", "lenet5", "--data", "data.npz", *arguments, "--out", "new"), words)
    assert not (here / "new").exists()


def test_the_same_command_again_and_resume_find_the_training_done(here, capsys):
    first = run(capsys, *TRAIN, "--json")
    assert run(capsys, *TRAIN, "--json") == first
    assert run(capsys, "train", "--resume", "lenet5-run", "--json") == first


def test_a_network_of_the_zoo_takes_images_of_another_size(here, capsys):
    train = ("train", "mobilenet_v1_025", "--shape", "1x1x32x32", "--data", "data.npz", "--epochs", 1, "--out", "small")
    code, _, err = run(capsys, *train, "--batch-size", 8)
    assert code == 0 or "has not learnt" in err, err
    assert load_run("small").graph.inputs[0].shape == (32, 32, 1)


def test_tables_name_accuracy_time_and_folder(here, capsys):
    code, out, _ = run(capsys, *TRAIN, "--recipe", "airbench", "--learning-rate", 0.02)
    assert code == 0
    for text in ("lenet5 trained on data", "test accuracy", "images per second", "Run: lenet5-run"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "lenet5"], ["--data"]),
        (["train", "--data", "data.npz"], ["network"]),
        (["train", "lenet6", "--data", "data.npz"], ["lenet6", "lenet5"]),
        (["train", "lenet5", "--data", "missing.npz"], ["missing.npz"]),
        (["train", "lenet5", "--data", "data.npz", "--batch-size", "99"], ["batch_size is 99", "54 images"]),
        (["train", "lenet5", "--data", "data.npz", "--momentum", "2"], ["momentum is 2"]),
        (
            ["train", "lenet5_1998", "--data", "data.npz", "--shape", "1x1x28x28"],
            ["'lenet5_1998'", "leave --shape out"],
        ),
        (["train", "resnet8", "--data", "data.npz", "--shape", "32x32x3"], ["--shape is 32x32x3", "1x3x32x32"]),
        (["train", "lenet5", "--data", "data.npz", "--out", "data.npz"], ["data.npz", "is a file"]),
        (["train", "lenet5", "--data", "data.npz", "--out", "."], ["something else than a training"]),
        (["train", "--resume", "nowhere"], ["nowhere", "config.json"]),
        (["train", "--resume", "nowhere", "--epochs", "3"], ["--resume goes on as the training was begun"]),
        (["evaluate", "lenet5-run"], ["lenet5-run"]),
        (["look", "lenet5-run", "--data", "data.npz"], ["lenet5-run"]),
        (["predict", "missing.tflite", "image.png"], ["missing.tflite"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line_and_leaves_nothing(here, capsys, arguments, words):
    assert_one_line_error(run(capsys, *arguments), *words)
    assert [path.name for path in here.iterdir()] == ["data.npz"]


def test_data_of_the_training_are_split_as_they_were_then(here, capsys, monkeypatch):
    from millijoule.cli import train

    for label in range(2):
        (here / "folder" / str(label)).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (32, 32), 20 * number + label).save(here / "folder" / str(label) / f"{number}.png")
    run(capsys, "train", "two_layer", "--data", "folder", "--shape", "1x1x32x32", "--epochs", 1, "--seed", 3)
    seeds = []
    monkeypatch.setattr(train, "load_data", lambda source, skip_bad, seed: seeds.append(seed) or load_data(source))
    for data in ((), ("--data", "folder"), ("--data", f"{here}/folder"), ("--data", "data.npz")):
        assert run(capsys, "evaluate", "two_layer-run", *data)[0] == 0
    assert seeds == [3, 3, 3, 0]


def test_colour_that_a_network_does_not_take_is_told_before_training(here, capsys):
    data = stripes(20, side=8)
    arrays = {name: getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    coloured = {name: np.repeat(array, 3, axis=3) if name[0] == "x" else array for name, array in arrays.items()}
    np.savez("coloured.npz", **coloured)
    for shape, told in (
        ("1x1x8x8", "note: images have 3 channels, the network takes 1: they become grey\n"),
        ("1x3x8x8", ""),
    ):
        train = ("train", "two_layer", "--shape", shape, "--data", "coloured.npz", "--epochs", 9, "--out", shape)
        code, _, err = run(capsys, *train)
        assert (code, err) == (0, told)


def test_another_training_in_the_folder_is_refused(here, capsys):
    run(capsys, *TRAIN)
    result = run(capsys, *TRAIN[:-1], 9)
    assert_one_line_error(result, "lenet5-run", "another batch_size (8 there, 9 asked for)")


def test_history_prints_error_against_year_parameters_and_macs(here, capsys, monkeypatch):
    from millijoule.train.history import methods

    monkeypatch.setattr(methods, "QUICK_EPOCHS", 1)
    code, out, _ = run(capsys, "history", "--data", "data.npz", "--quick")
    assert code == 0
    for text in ("1958", "perceptron", "support vector machine", "LeNet-5, modern form", "Exclusive or", "MACs"):
        assert text in out


def test_every_setting_is_an_option_with_its_own_words(capsys):
    assert described().keys() == {field.name for field in fields(Settings)}
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for field in fields(Settings):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "biases and norms do not decay" in text
