"""Progress on stderr while the firmware runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A function that shows how many samples are done; silent if stderr is no terminal.

    The bar appears with the first sample, so that nothing stands in the way of what is printed before.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn(what),
        TextColumn("{task.completed:,} samples"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    task = bar.add_task(what, total=None)

    def done(samples: int) -> None:
        bar.start()
        bar.update(task, completed=samples)

    try:
        yield done
    finally:
        bar.stop()
