"""From labelled images to firmware that has run, and a folder that is made whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import millijoule as mj
from millijoule.deploy import MARKERS, deploy, replacing_folder
from millijoule.errors import DataError, OptionError
from millijoule.report.deployment import Deployment
from millijoule.train import Dataset, accuracy
from millijoule.train.data import stratified_split
from tests.networks import small_int8_model

FILES = {"model.c", "model.h", "weights.h", "main.c", "report.html", "report.json", "memory.h", "fixedpoint.h"}
FIRMWARE = {"startup.c", "linker.ld", "Makefile", "firmware.elf"}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """A part of the digits, so that training takes seconds."""
    whole = mj.load_data("digits")
    _, train = stratified_split(whole.y_train, 0.3, 0)
    _, test = stratified_split(whole.y_test, 0.1, 0)
    return Dataset(
        "few", whole.x_train[train], whole.y_train[train], whole.x_test[test], whole.y_test[test], whole.classes
    )


@pytest.fixture(scope="module")
def trained(digits):
    return mj.train(mj.zoo.lenet5(), digits, epochs=8)


@pytest.mark.parametrize("device", ["host", "nucleo-f446re"])
def test_the_main_job(tmp_path, digits, trained, device):
    done: list[int] = []
    result = deploy(trained, device, data=digits, folder=tmp_path / "out", progress=done.append)
    assert isinstance(result, Deployment)
    int8 = mj.quantize(trained, digits.x_train)
    expected = accuracy(int8, digits.x_test, digits.y_test)
    assert result.accuracy["float"] == accuracy(trained, digits.x_test, digits.y_test) > 0.7
    assert result.accuracy["int8_host"] == result.accuracy["int8_device"] == expected > 0.7
    assert (result.bit_exact, result.outputs_compared, result.samples) == (True, 36 * 10, 36)
    assert (result.folder, result.notes) == (tmp_path / "out", ())
    names = {path.name for path in result.folder.iterdir()}
    assert names >= FILES | (FIRMWARE if device != "host" else {"lenet5.so"})
    assert json.loads((result.folder / "report.json").read_text()) == result.to_json()
    assert "Classes, in the order of the output: 0, 1, 2" in (result.folder / "model.h").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if device == "host":
        assert (result.build, result.measurement) == (None, None)
    else:
        assert Path(result.build.elf) == tmp_path / "out" / "firmware.elf"
        assert result.measurement.arena_bytes == result.plan.arena_bytes
        assert len(result.measurement.instructions) == 36
        assert done[-1] == 36


def test_the_example_of_the_package_runs_as_it_stands_and_reaches_98_percent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = mj.__doc__.splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in lines if line.startswith("    ")), names)
    assert capsys.readouterr().out == "416520\n"
    found = names["deployment"]
    assert (found.bit_exact, found.samples) == (True, 360)
    assert found.measurement.arena_bytes == found.plan.arena_bytes
    assert found.plan.arena_bytes >= names["plan"].arena_bytes, "the board's kernels may need working memory"
    assert found.accuracy["float"] is None, "an int8 model was given"
    assert found.accuracy["int8_host"] == found.accuracy["int8_device"] >= 0.98
    assert (tmp_path / "lenet5-nucleo-f446re-firmware" / "firmware.elf").is_file()


def test_without_data_the_inputs_are_random_and_nothing_is_known_of_accuracy(tmp_path):
    result = deploy(small_int8_model(), "host", folder=tmp_path / "out", samples=5)
    assert result.accuracy == {"float": None, "int8_host": None, "int8_device": None}
    assert (result.bit_exact, result.samples) == (True, 5)
    assert "5 random inputs" in result.notes[0]


def test_samples_larger_than_the_data_are_all_of_it(tmp_path, digits, trained):
    assert deploy(trained, "host", data=digits, folder=tmp_path / "out", samples=1000).samples == 36
    assert deploy(trained, "host", data=digits, folder=tmp_path / "out", samples=2).samples == 2


def test_built_but_not_run(tmp_path):
    result = deploy(small_int8_model(), "nucleo-f446re", folder=tmp_path / "out", emulator="none")
    assert (result.measurement, result.bit_exact, result.outputs_compared) == (None, None, 0)
    assert result.build.flash_bytes > 1000


def test_a_float_model_needs_images(tmp_path, trained):
    with pytest.raises(OptionError, match="model 'lenet5' is float: give --data"):
        deploy(trained, "host", folder=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_more_classes_than_the_model_tells_apart(tmp_path, digits):
    with pytest.raises(DataError, match="'few' has 10 classes; the model tells 3 apart"):
        deploy(small_int8_model(), "host", data=digits, folder=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_named_after_model_and_device(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert deploy(small_int8_model(), "host", samples=1).folder == Path("small-host-firmware")
    assert (tmp_path / "small-host-firmware" / "model.c").is_file()


# The folder


def earlier(folder: Path) -> Path:
    folder.mkdir()
    for name in MARKERS:
        (folder / name).write_text("earlier")
    return folder


@pytest.mark.parametrize("name", ["out", "earlier"])
def test_an_earlier_deployment_is_replaced_whole(tmp_path, name):
    target = earlier(tmp_path / name)
    with replacing_folder(target) as work:
        assert work.name == name
        assert (target / "model.c").read_text() == "earlier"
        (work / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_everything_as_it_was(tmp_path, kind, exists):
    target = earlier(tmp_path / "out") if exists else tmp_path / "out"

    def fail() -> None:
        with replacing_folder(target) as work:
            (work / "half").write_text("half")
            raise kind

    with pytest.raises(kind):
        fail()
    assert list(tmp_path.iterdir()) == [target] * exists
    if exists:
        assert {path.name for path in target.iterdir()} == set(MARKERS)


def test_a_failure_between_the_two_renames_puts_the_earlier_one_back(tmp_path, monkeypatch):
    target = earlier(tmp_path / "out")
    rename, calls = Path.rename, []

    def second_fails(self, other):
        calls.append(other)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(KeyboardInterrupt), replacing_folder(target) as work:
        (work / "new").write_text("new")
    assert list(tmp_path.iterdir()) == [target]
    assert {path.name for path in target.iterdir()} == set(MARKERS)


@pytest.mark.parametrize("names", [("thesis.txt",), ("report.json",), ("model.c", "weights.h")])
def test_folders_of_others_are_not_touched(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("irreplaceable")
    with pytest.raises(OptionError, match="is not an earlier deployment: remove it or choose another --out"):
        deploy(small_int8_model(), "host", folder=tmp_path, samples=1)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "irreplaceable")


def test_files_are_no_folders_and_empty_folders_may_be_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match=r"'.*file' exists and is not an earlier deployment"):
        deploy(small_int8_model(), "host", folder=tmp_path / "file", samples=1)
    with pytest.raises(OptionError, match=r"cannot be written \(.*\): choose another --out"):
        deploy(small_int8_model(), "host", folder=tmp_path / "file" / "out", samples=1)
    (tmp_path / "empty").mkdir()
    with replacing_folder(tmp_path / "empty") as work:
        (work / "new").write_text("new")
    assert (tmp_path / "empty" / "new").is_file()


def test_a_link_stays_a_link(tmp_path):
    target = earlier(tmp_path / "out")
    (tmp_path / "link").symlink_to(target)
    with replacing_folder(tmp_path / "link") as work:
        (work / "new").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (target / "new").is_file()


def test_arrays_of_the_model_are_not_changed(tmp_path, digits, trained):
    before = {name: array.copy() for name, array in trained.weights.items()}
    deploy(trained, "host", data=digits, folder=tmp_path / "out", samples=1)
    assert all(np.array_equal(trained.weights[name], before[name]) for name in before)
