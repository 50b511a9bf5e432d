"""The folder of a training: what was trained on what, with which settings and versions, epoch by epoch.

config.json       network (its graph, if the zoo has none like it), data, teacher, settings, versions, machine
metrics.jsonl     one line for each epoch
checkpoint.npz    the state after the last epoch, and the best weights
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from millijoule import zoo
from millijoule.errors import DataError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.checkpoint import FILE, load_checkpoint
from millijoule.train.structure import from_plain
from millijoule.whole_file import check_writable, remove_half_written, write_text

CONFIG = "config.json"
METRICS = "metrics.jsonl"
IDENTITY = ("network", "arguments", "data", "source", "skip_bad", "settings")
"""What `config.json` always holds: enough to train again."""
PACKAGES = ("millijoule", "torch", "numpy")


@dataclass(frozen=True)
class Epoch:
    """What one epoch of a training did.

    loss: mean over its steps. accuracy, validation_loss: on the held-out images after it; a detector's accuracy is its
    mAP at an overlap of 0.5. images: trained on since the beginning. seconds, cpu_seconds: of this epoch, of the wall
    clock and of all cores together. training_seconds, training_cpu_seconds: the part of them before the evaluation.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    learning_rate: float
    images: int
    seconds: float
    cpu_seconds: float
    training_seconds: float
    training_cpu_seconds: float


@dataclass(frozen=True)
class RunFolder:
    """Keeps the record of one training in `path`.

    config: what identifies the training: network, arguments, data, recipe, changes; versions and machine are added.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raises OptionError, before time is spent, if the folder holds something else or cannot be written."""
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"'{self.path}' is a file: choose another --out")
        if any(self.path.glob("[!.]*")) and not (self.path / CONFIG).exists():
            raise OptionError(f"'{self.path}' holds something else than a training: choose another --out")
        check_writable(self.path, "--out")

    def add(self, epoch: Epoch) -> None:
        """Write the epoch's line. Lines of this epoch and of later ones are of a training that was cut off: they go."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, METRICS):
            remove_half_written(self.path / name)
        if epoch.epoch == 1 or not (self.path / CONFIG).exists():
            versions = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
            machine = {"processor": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
            whole = {**self.config, "versions": versions, "machine": machine}
            write_text(self.path / CONFIG, json.dumps(whole, indent=2) + "\n")
        earlier = [each for each in read_metrics(self.path) if each.epoch < epoch.epoch]
        lines = [json.dumps(asdict(each)) for each in (*earlier, epoch)]
        write_text(self.path / METRICS, "\n".join(lines) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """DataError if `folder` is not the folder of a training."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        missing = [name for name in IDENTITY if not isinstance(config, dict) or name not in config]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"'{folder / CONFIG}' cannot be read ({reason}): give a folder that `millijoule train --out` made"
        ) from None
    return config


def read_metrics(folder: Path) -> list[Epoch]:
    """The epochs so far, none if there is no record. DataError if it cannot be read."""
    path = folder / METRICS
    try:
        return [Epoch(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"'{path}' cannot be read ({error}): remove it; the checkpoint does not need it") from None


def kept_epoch(config: Mapping[str, Any], epochs: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights the run of that config keeps."""
    if config.get("settings", {}).get("keep") == "last":
        return epochs[-1]
    return max(epochs, key=lambda each: (each.accuracy, -each.validation_loss, each.epoch))


def is_run(name: str) -> bool:
    """Whether `name` is the folder of a training that has got as far as a checkpoint."""
    return (Path(name) / CONFIG).is_file() and (Path(name) / FILE).is_file()


def load_run(folder: Path | str) -> Model:
    """The best float model of a training. Raises DataError if there is none in `folder`."""
    folder = Path(folder)
    return load_checkpoint(folder, graph_of(read_config(folder)))


def graph_of(config: Mapping[str, Any]) -> Graph:
    """The network of a training: of the zoo, or kept in the folder. DataError if what is kept there is none."""
    if "graph" in config:
        return from_plain(config["graph"])
    # JSON has turned shapes into lists.
    arguments = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config["arguments"].items()
    }
    return zoo.get(config["network"], **arguments)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
