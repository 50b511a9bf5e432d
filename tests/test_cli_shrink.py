"""`prune` and `distill`, as a user types them."""

import json
import shutil

import numpy as np
import pytest

from millijoule.cli import main
from tests.test_cli import assert_one_line_error, run
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


def test_a_network_of_ones_own_is_trained_and_taught(here, capsys):
    (here / "mine.py").write_text(
        "import torch\n"
        "def small():\n"
        "    layers = torch.nn.Conv2d(1, 4, 3, stride=4), torch.nn.BatchNorm2d(4), torch.nn.ReLU()\n"
        "    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4 * 8 * 8, 2))\n"
    )
    more = ("--shape", "1x1x32x32", "--data", "data.npz", "--epochs", 3, "--batch-size", 8)
    code, out, _ = run(capsys, "distill", "mine.py:small", "--teacher", "run", *more, "--out", "taught", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] > 0.9
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
        (["prune", "missing", "--macs", "0.5"], ["missing", "train --out"]),
        (["prune", "run", "--macs", "0.5", "--out", "data.npz"], ["data.npz", "is a file"]),
        (["distill", "lenet5", "--teacher", "run"], ["--data"]),
        (["distill", "lenet5", "--teacher", "lenet5", "--data", "data.npz"], ["'lenet5'", "without numbers"]),
        (["distill", "lenet5", "--teacher", "run", "--data", "digits"], ["(2,)", "(10,)"]),
        (["distill", "lenet5", "--teacher", "run", "--data", "data.npz", "--alpha", "2"], ["alpha is 2"]),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(here, capsys, arguments, words):
    assert_one_line_error(run(capsys, *arguments), *words)
    assert {path.name for path in here.iterdir()} == {"data.npz", "run"}
