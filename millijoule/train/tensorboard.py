"""Event files that TensorBoard shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from millijoule.errors import ToolError
from millijoule.train.run_folder import Epoch


def event_writer(folder: Path) -> Callable[[Epoch], None]:
    """A function that adds an epoch to event files in `folder`. ToolError if PyPI's tensorboard is missing.

    What an earlier, interrupted training wrote of the same epoch and of later ones, TensorBoard leaves out.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ToolError(
            "--tensorboard needs a package that is missing: pip install 'millijoule[tensorboard]'"
        ) from None
    writers: list[SummaryWriter] = []

    def write(epoch: Epoch) -> None:
        if not writers:
            writers.append(SummaryWriter(str(folder), purge_step=epoch.epoch))
        for name, value in asdict(epoch).items():
            if name != "epoch":
                writers[0].add_scalar(name, value, epoch.epoch)
        writers[0].flush()

    return write
