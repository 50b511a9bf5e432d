"""The folder of a training: what stands there, and what is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import DataError, MillijouleError, OptionError, ToolError
from millijoule.train import is_run, load_run, train
from millijoule.train.loop import Trainer
from millijoule.train.run_folder import CONFIG, METRICS, Epoch, RunFolder, read_config, read_metrics
from millijoule.train.tensorboard import event_writer
from tests.train.cases import linear, stripes

CONFIGURED = {
    "network": "perceptron",
    "arguments": {"classes": 2, "input_shape": (6, 6, 1)},
    "data": "stripes",
    "source": "stripes.npz",
    "skip_bad": False,
    "settings": {},
}
FIRST = Epoch(1, 0.5, 0.75, 0.4, 0.1, 36, 1.5, 1.25, 1.25, 1.0)


def trained(folder: Path, **changes):
    graph = zoo.perceptron(**CONFIGURED["arguments"])
    return train(graph, stripes(), checkpoint=folder, on_epoch=RunFolder(folder, CONFIGURED).add, **changes)


def test_a_training_leaves_its_configuration_metrics_and_weights(tmp_path):
    model = trained(tmp_path / "run", epochs=3)
    assert is_run(str(tmp_path / "run"))
    config = read_config(tmp_path / "run")
    assert config["network"] == "perceptron"
    assert config["versions"]["numpy"] == np.__version__
    epochs = read_metrics(tmp_path / "run")
    assert [(each.epoch, each.images) for each in epochs] == [(1, 36), (2, 72), (3, 108)]
    assert epochs[2].loss < epochs[0].loss
    found = load_run(tmp_path / "run")
    assert all(np.array_equal(found.weights[name], model.weights[name]) for name in model.weights)
    assert found.labels == ("horizontal", "vertical")


def test_metrics_of_a_resumed_training_are_those_of_an_uninterrupted_one(tmp_path, monkeypatch):
    trained(tmp_path / "whole", epochs=4)
    evaluate, calls = Trainer.evaluate, []

    def interrupted(trainer):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", interrupted)
        with pytest.raises(MillijouleError, match="interrupted in epoch 3 of 4"):
            trained(tmp_path / "cut", epochs=4)
    # As if the process had been killed between the line of epoch 3 and its checkpoint.
    RunFolder(tmp_path / "cut", CONFIGURED).add(replace(FIRST, epoch=3))
    trained(tmp_path / "cut", epochs=4)

    def without_times(folder):
        times = {name: 0 for name in vars(FIRST) if name.endswith("seconds")}
        return [replace(each, **times) for each in read_metrics(folder)]

    assert without_times(tmp_path / "cut") == without_times(tmp_path / "whole")


def test_a_new_training_in_the_folder_has_its_own_configuration(tmp_path):
    RunFolder(tmp_path, CONFIGURED | {"data": "old"}).add(FIRST)
    RunFolder(tmp_path, CONFIGURED).add(FIRST)
    assert read_config(tmp_path)["data"] == "stripes"
    assert read_metrics(tmp_path) == [FIRST]


def test_what_cannot_be_written_is_told_before(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is a file: choose another --out"):
        RunFolder(tmp_path / "file").check()
    with pytest.raises(OptionError, match="holds something else than a training"):
        RunFolder(tmp_path).check()
    RunFolder(tmp_path / "new" / "run").check()
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OptionError, match=r"cannot be written \(Permission denied\): choose another --out"):
        RunFolder(tmp_path / "run").check()


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    for name in (".checkpoint.npz-x", ".config.json-x", ".metrics.jsonl-x"):
        (tmp_path / name).write_text("half")
    RunFolder(tmp_path).check()
    trained(tmp_path, epochs=1, must_learn=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.npz", CONFIG, METRICS]


def test_a_full_disk_leaves_the_metrics_as_they_were(tmp_path, monkeypatch):
    run = RunFolder(tmp_path, CONFIGURED)
    run.add(FIRST)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            run.add(replace(FIRST, epoch=2))
    assert read_metrics(tmp_path) == [FIRST]
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONFIG, METRICS]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"network": "lenet5"}'])
def test_folders_that_are_none_of_a_training(tmp_path, text):
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(DataError, match=r"config.json' cannot be read \(.*\): give a folder that") as error:
        load_run(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / METRICS).write_text("{}\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl' cannot be read"):
        read_metrics(tmp_path)


def test_tensorboard_reads_the_events(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write = event_writer(tmp_path)
    for number, loss in ((1, 0.5), (2, 0.25)):
        write(replace(FIRST, epoch=number, loss=loss))
    event_writer(tmp_path)(replace(FIRST, epoch=2, loss=0.125))  # a resumed training
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.125)]
    assert set(events.Tags()["scalars"]) == set(json.loads(json.dumps(FIRST.__dict__))) - {"epoch"}


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ToolError, match=r"pip install 'millijoule\[tensorboard\]'"):
        event_writer(tmp_path)


def test_training_goes_on_when_nobody_listens():
    assert train(linear(), stripes(), epochs=1).labels == ("horizontal", "vertical")
