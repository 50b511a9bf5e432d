"""The progress bar of training, on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class TrainingProgress:
    """Epoch, loss, score, images per second and time left; silent if stderr is no terminal. score: its name.

    All of them fit into 80 columns; the bar takes what is left.
    """

    def __init__(self, shown: bool, epochs: int, steps: int, epochs_done: int, score: str = "accuracy") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._bar = Progress(
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn(f"val. {score} {{task.fields[score]}}"),
            TextColumn("{task.fields[rate]:,.0f} images/s"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task(
            "", total=epochs * steps, completed=epochs_done * steps, epoch=epochs_done, loss="-", score="-", rate=0.0
        )
        self._epoch = epochs_done
        self._images = 0
        self._start = time.monotonic()
        self._loss = 0.0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, images: int, loss: float) -> None:
        """`images` more were trained on; the loss is shown as a running mean."""
        self._loss = loss if not self._images else 0.95 * self._loss + 0.05 * loss
        self._images += images
        rate = self._images / max(time.monotonic() - self._start, 1e-9)
        self._bar.update(self._task, advance=1, epoch=self._epoch + 1, loss=f"{self._loss:.4f}", rate=rate)

    def epoch(self, score: float) -> None:
        self._epoch += 1
        self._bar.update(self._task, epoch=self._epoch, score=f"{score:.4f}")
