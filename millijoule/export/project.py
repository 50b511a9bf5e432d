"""The C project of an int8 model, as `deploy` emits it, neither built nor run."""

from __future__ import annotations

from pathlib import Path

from millijoule.errors import OptionError
from millijoule.model import Model

MARKERS = ("model.c", "model.h", "weights.h")
"""Files by which a folder is known as a C project that may be replaced."""


def check_project(folder: Path, *, force: bool) -> None:
    """OptionError if something is in `folder` that is not to be replaced, or that is no C project."""
    from millijoule.deploy import check_replaceable

    if not force and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"'{folder}' exists: add --force to replace it, or choose another --out")
    check_replaceable(folder, MARKERS)


def write_project(model: Model, device: str, folder: Path, *, force: bool) -> None:
    """The project for a device, of the channels that matter, layer by layer where that fits the device's RAM.

    Raises OptionError as check_project, DoesNotFit if flash or RAM is too small.
    """
    from millijoule.cost.device import load_device
    from millijoule.deploy import plan_for, replacing_folder
    from millijoule.emit import emit
    from millijoule.passes.integer import reduce
    from millijoule.run.fit import check_before_compiling

    check_project(folder, force=force)
    known = load_device(device)
    reduced = reduce(model).model
    planned = plan_for(reduced, known)
    if known.kind != "host":
        check_before_compiling(reduced, planned, known)
    with replacing_folder(folder, MARKERS) as work:
        emit(reduced, planned, known, work)
