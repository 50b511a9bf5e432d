"""`prune` and `distill`, as a user types them."""

import json
import shutil

import numpy as np
import pytest

from millijoule.cli import main
from millijoule.cli.trained import load_teacher
from millijoule.train import load_run
from tests.test_cli import assert_one_line_error, run
from tests.test_cli_train import STILL
from tests.train.cases import stripes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with data.npz, stripes of 32x32 pixels, and the run of a LeNet-5 on them."""
    folder = tmp_path_factory.mktemp("made")
    data = stripes(60, side=32)
    arrays = {name: getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(folder / "data.npz", **arrays)
    train = ("train", "lenet5", "--data", folder / "data.npz", "--epochs", 8, "--batch-size", 8)
    assert main([*map(str, train), "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def teacher(model: str, temperature: float, alpha: float, once: bool) -> dict:
    """What a run's config says of its teacher."""
    return {"model": model, "temperature": temperature, "alpha": alpha, "once": once, "mean": None, "std": None}


def test_a_network_is_pruned_and_its_run_is_one_like_any_other(here, capsys):
    code, out, _ = run(capsys, "prune", "run", "--data", "data.npz", "--macs", 0.5, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["folder"] == "run-pruned"
    _, whole, _ = run(capsys, "evaluate", "run", "--data", "data.npz", "--json")
    assert result["accuracy_before"] == json.loads(whole)["accuracy"]
    assert 0.4 * result["macs_before"] < result["macs"] <= 0.5 * result["macs_before"]
    assert result["parameters"] < result["parameters_before"]
    assert result["ram_bytes"] <= result["ram_bytes_before"]
    assert result["accuracy"] > 0.9
    config = json.loads((here / "run-pruned" / "config.json").read_text())
    narrower = {node["name"]: node["attributes"] for node in config["graph"]["nodes"]}
    assert narrower["c5"]["channels" if "channels" in narrower["c5"] else "features"] < 120
    assert config["settings"] == json.loads((here / "run" / "config.json").read_text())["settings"]
    assert config["teacher"] == teacher("run", 4.0, 0.9, once=False)
    _, out, _ = run(capsys, "evaluate", "run-pruned", "--data", "data.npz", "--json")
    assert json.loads(out)["accuracy"] == result["accuracy"]
    code, out, _ = run(capsys, "deploy", "run-pruned", "--data", "data.npz", "--device", "host", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"]["float"] == result["accuracy"]
    code, out, _ = run(capsys, "train", "--resume", "run-pruned", "--json")
    assert json.loads(out)["accuracy"] == result["accuracy"]
    code, out, _ = run(
        capsys, "prune", "run-pruned", "--ram", "4.5KB", "--epochs", 1, "--alpha", 0, "--out", "again", "--json"
    )
    assert code == 0, "what was pruned can be pruned again"
    assert "teacher" not in json.loads((here / "again" / "config.json").read_text())
    assert json.loads(out)["ram_bytes"] <= 4500


def test_a_file_is_pruned(here, capsys):
    assert run(capsys, "export", "run", "--to", "onnx", "--out", "lenet.onnx")[0] == 0
    how = ("--macs", 0.5, "--epochs", 2, "--batch-size", 8)
    assert_one_line_error(run(capsys, "prune", "lenet.onnx", *how), "prune needs --data")
    code, out, err = run(capsys, "prune", "lenet.onnx", "--data", "data.npz", *how, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert "has no batch-norm: it is trained on with one after each convolution" in err
    assert result["macs"] <= 0.5 * result["macs_before"]
    assert result["accuracy"] > 0.9
    config = json.loads((here / result["folder"] / "config.json").read_text())
    assert config["teacher"] == teacher("lenet.onnx", 4.0, 0.9, once=False)
    _, out, _ = run(capsys, "evaluate", result["folder"], "--json")
    assert json.loads(out)["accuracy"] == result["accuracy"]
    assert run(capsys, "train", "--resume", result["folder"])[0] == 0


def test_a_network_learns_from_a_run(here, capsys):
    distill = ("distill", "lenet5", "--teacher", "run", "--data", "data.npz", "--epochs", 3, "--batch-size", 8)
    code, out, _ = run(capsys, *distill, "--temperature", 2, "--alpha", 0.5, "--ask-once")
    assert code == 0
    assert "lenet5 trained on data" in out
    config = json.loads((here / "lenet5-distilled" / "config.json").read_text())
    assert config["teacher"] == teacher("run", 2.0, 0.5, once=True)
    code, first, _ = run(capsys, *distill, "--temperature", 2, "--alpha", 0.5, "--ask-once", "--json")
    assert run(capsys, "train", "--resume", "lenet5-distilled", "--json")[1] == first
    assert_one_line_error(run(capsys, *distill), "another teacher")


def test_files_of_numbers_are_taught_and_teach(here, capsys):
    """As published ones are, which do not say what they expect of pixels."""
    import torch

    assert run(capsys, "export", "run", "--to", "pt", "--out", "kept.pt")[0] == 0
    torch.save({name: array for name, array in torch.load("kept.pt").items() if "." in name}, "plain.pt")
    student = ("distill", "lenet5", "--weights", "plain.pt", "--data", "data.npz", *STILL)
    distill = (*student, "--teacher", "lenet5", "--teacher-weights", "plain.pt")
    code, out, _ = run(capsys, *distill, "--mean", 0.5, "--std", 0.5, "--json")
    assert code == 0
    config = json.loads((here / "lenet5-distilled" / "config.json").read_text())
    assert config["teacher"] == teacher("lenet5", 4.0, 0.9, once=False) | {
        "weights": "plain.pt",
        "mean": [0.5],
        "std": [0.5],
    }
    assert config["preprocess"] == {"mean": [0.5], "std": [0.5]}
    before, after = load_run(here / "run").weights, load_run(here / "lenet5-distilled").weights
    assert all(np.allclose(after[name], array, atol=1e-6) for name, array in before.items())
    assert run(capsys, "train", "--resume", "lenet5-distilled", "--json")[1] == out
    assert run(capsys, "export", "run", "--to", "onnx", "--out", "says.onnx")[0] == 0
    for which in ("run", "says.onnx"):
        code, _, _ = run(capsys, *student, "--teacher", which, "--mean", 0.4, "--out", f"by-{which}")
        assert code == 0
        config = json.loads((here / f"by-{which}" / "config.json").read_text())
        assert config["preprocess"]["mean"] == [0.4]
        taught_by = load_teacher(None, **config["teacher"]).model
        assert taught_by.preprocess == load_run(here / "run").preprocess, f"{which} says its own"
    assert_one_line_error(
        run(capsys, "evaluate", "says.onnx", "--data", "data.npz", "--mean", 0.4), "leave --mean and --std out"
    )


def test_what_runs_code_when_it_is_read_cannot_teach(here, capsys):
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Conv2d(1, 8, 3, stride=4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 8, 2)
    torch.save(torch.nn.Sequential(*layers), "mine.pt")
    pruned = ("prune", "mine.pt", "--trust", "--shape", "1x1x32x32", "--data", "data.npz", "--macs", 0.6, "--epochs", 4)
    assert_one_line_error(run(capsys, *pruned), "'mine.pt' is read only with --trust", "export it", "--alpha 0")
    code, _, err = run(capsys, *pruned, "--batch-size", 8, "--alpha", 0)
    assert code == 0, err


def test_a_network_of_ones_own_is_trained_and_taught(here, capsys):
    (here / "mine.py").write_text(
        "import torch\n"
        "def small():\n"
        "    torch.manual_seed(0)\n"
        "    layers = torch.nn.Conv2d(1, 4, 3, stride=4), torch.nn.BatchNorm2d(4), torch.nn.ReLU()\n"
        "    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4 * 8 * 8, 2))\n"
    )
    more = ("--shape", "1x1x32x32", "--data", "data.npz", "--epochs", 3, "--batch-size", 8)
    code, out, _ = run(capsys, "distill", "mine.py:small", "--teacher", "run", *more, "--out", "taught", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] > 0.9
    pruned = ("prune", "mine.py:small", *more, "--macs", 0.8, "--multiple", 1, "--alpha", 0.1)  # itself has not learnt
    code, out, err = run(capsys, *pruned, "--json")
    assert code == 0, err
    assert run(capsys, *pruned, "--teacher", "mine.py:small", "--out", "other")[0] == 0
    assert run(capsys, "train", "--resume", json.loads(out)["folder"])[0] == 0, "the teacher is found again"
    (here / "mine.py").unlink()
    _, again, _ = run(capsys, "evaluate", "taught", "--data", "data.npz", "--json")
    assert json.loads(again)["accuracy"] == json.loads(out)["accuracy"], "the run needs the file no more"
    code, out, _ = run(capsys, "prune", "taught", "--macs", 0.6, "--epochs", 1, "--multiple", 1, "--json")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prune", "run"], ["--macs", "--ram"]),
        (["prune", "run", "--macs", "0.5", "--ram", "4KB"], ["one budget"]),
        (["prune", "run", "--energy", "2mJ"], ["--device"]),
        (["prune", "run", "--energy", "1uJ", "--device", "nucleo-l4r5zi"], ["0.001 mJ on nucleo-l4r5zi", "least"]),
        (["prune", "run", "--macs", "0.001"], ["least possible"]),
        (["prune", "run", "--ram", "1KB"], ["1,000 bytes", "least possible"]),
        (["prune", "missing", "--macs", "0.5"], ["missing", "no network"]),
        (["prune", "run", "--macs", "0.5", "--recipe", "sgd"], ["'run' has its own recipe", "--recipe"]),
        (["prune", "run", "--macs", "0.5", "--mean", "0.5"], ["'run' knows", "leave --mean"]),
        (["prune", "lenet5", "--macs", "0.5", "--data", "data.npz"], ["'lenet5'", "without numbers: give --weights"]),
        (["prune", "run", "--macs", "0.5", "--out", "data.npz"], ["data.npz", "is a file"]),
        (["prune", "run", "--macs", "0.5", "--teacher-weights", "data.npz"], ["--teacher-weights", "--teacher"]),
        (["distill", "lenet5", "--teacher", "run"], ["--data"]),
        (
            ["distill", "lenet5", "--teacher", "lenet5", "--data", "data.npz"],
            ["'lenet5'", "without numbers", "--teacher-weights"],
        ),
        (
            ["distill", "lenet5", "--teacher", "run", "--teacher-weights", "data.npz", "--data", "data.npz"],
            ["'run'", "its own numbers", "--teacher-weights"],
        ),
        (["distill", "lenet5", "--teacher", "run", "--data", "data.npz", "--weights", "none"], ["'none' is not there"]),
        (
            ["distill", "lenet5", "--teacher", "run", "--data", "data.npz", "--weights", "run", "--mean", "0.5"],
            ["'run' knows", "leave --mean"],
        ),
        (["distill", "lenet5", "--teacher", "run", "--data", "digits"], ["(2,)", "(10,)"]),
        (["distill", "lenet5", "--teacher", "run", "--data", "data.npz", "--alpha", "2"], ["alpha is 2"]),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(here, capsys, arguments, words):
    assert_one_line_error(run(capsys, *arguments), *words)
    assert {path.name for path in here.iterdir()} == {"data.npz", "run"}
