"""Training's state on disk, so that it can go on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from millijoule.boxes import BoxCoding
from millijoule.errors import DataError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.whole_file import remove_half_written, whole_file

FILE = "checkpoint.npz"
MOST_HASHED = 65_536
GROUPS = ("weights", "optimizer", "average", "best")


@dataclass(frozen=True)
class Best:
    """The best weights so far and how they did on the validation images; accuracy is the task's score."""

    epoch: int
    accuracy: float
    loss: float
    weights: Mapping[str, np.ndarray]

    def is_beaten_by(self, accuracy: float, loss: float) -> bool:
        return (accuracy, -loss) >= (self.accuracy, -self.loss)


@dataclass(frozen=True)
class Checkpoint:
    """Training after `epochs_done` epochs.

    optimizer: what it keeps of each array, by kind and name: `momentum_buffer/c1.weight`. average: the averaged
    weights, empty if there are none.
    """

    epochs_done: int
    weights: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    average: Mapping[str, np.ndarray]
    best: Best


def fingerprint(graph: Graph, images: np.ndarray, labels: np.ndarray, settings: Any) -> dict[str, Any]:
    """What must be equal for a training to be the same one; when it stops early may change.

    Of more than 65,536 images, evenly spaced ones stand for all.
    """
    digest = hashlib.sha256(np.array(images.shape).tobytes())
    for index in range(0, len(images), -(-len(images) // MOST_HASHED)):
        digest.update(images[index].tobytes())
    digest.update(labels.tobytes())
    network = hashlib.sha256(repr(graph).encode()).hexdigest()
    same = {name: value for name, value in asdict(settings).items() if name not in ("until", "patience")}
    return {"network": network, "data": digest.hexdigest(), **same}


def save_checkpoint(folder: Path, state: Checkpoint, identity: dict[str, Any], model: Model) -> None:
    """Write the state to `folder` whole or not at all. `model` says labels, preprocessing and how boxes are coded."""
    header = {
        "identity": identity,
        "epochs_done": state.epochs_done,
        "best": {"epoch": state.best.epoch, "accuracy": state.best.accuracy, "loss": state.best.loss},
        "labels": model.labels,
        "preprocess": dict(model.preprocess),
        "boxes": model.boxes.to_json() if model.boxes else None,
    }
    arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
    for group, values in zip(GROUPS, (state.weights, state.optimizer, state.average, state.best.weights), strict=True):
        arrays |= {f"{group}/{name}": array for name, array in values.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    remove_half_written(path)
    with whole_file(path) as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def remove_checkpoint(folder: Path) -> None:
    """Remove the state in `folder`, and the folder if nothing else is there."""
    (folder / FILE).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def read_checkpoint(folder: Path, identity: dict[str, Any], settings: Any = None) -> Checkpoint | None:
    """The state in `folder`, None if there is none.

    settings: a dataclass; one of them that is newer than the checkpoint had its default then.
    Raises OptionError if it is of another training, DataError if it cannot be read.
    """
    if not (folder / FILE).exists():
        return None
    header, groups = _read(folder)
    defaults = {each.name: each.default for each in fields(settings)} if settings else {}
    there = defaults | header["identity"]
    for name, value in identity.items():
        if there.get(name) != value:
            shown = "" if name in ("network", "data", "teacher") else f" ({there.get(name)} there, {value} asked for)"
            raise OptionError(
                f"the checkpoint in '{folder}' is of a training with another {name}{shown}: "
                "choose another folder, remove it, or train as before"
            )
    best = Best(weights=groups["best"], **header["best"])
    return Checkpoint(header["epochs_done"], groups["weights"], groups["optimizer"], groups["average"], best)


def load_checkpoint(folder: Path | str, graph: Graph) -> Model:
    """The best model so far of a training that wrote to `folder`. DataError if none can be read."""
    header, groups = _read(Path(folder))
    boxes = BoxCoding.from_json(header["boxes"]) if header.get("boxes") else None
    return Model(graph, groups["best"], labels=tuple(header["labels"]), preprocess=header["preprocess"], boxes=boxes)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    path = folder / FILE
    groups: dict[str, dict[str, np.ndarray]] = {group: {} for group in GROUPS}
    try:
        # numpy leaves a broken archive open when it opens the file itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            for key in file.files:
                if key != "header":
                    group, name = key.split("/", 1)
                    groups[group][name] = file[key]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"checkpoint '{path}' cannot be read ({error}): remove it to start again") from None
    return header, groups
