"""The options of a training on several machines, and how they are met."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millijoule.cli.command import positive
from millijoule.errors import OptionError

if TYPE_CHECKING:
    import numpy as np

    from millijoule.detect.data import DetectionSet
    from millijoule.train import Dataset


@dataclass(frozen=True)
class Job:
    """A training as one process does it, alone or beside others.

    folder: where the record is kept. config: as in config.json. start: the numbers to begin with.
    """

    folder: Path
    config: Mapping[str, Any]
    start: Mapping[str, np.ndarray] | None
    tensorboard: bool


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """The options --nodes, --rendezvous and --ray."""
    group = parser.add_argument_group("past one machine")
    group.add_argument(
        "--nodes",
        type=positive,
        metavar="N",
        help="share each batch among N machines, one process on each or one for each GPU: give the command on all",
    )
    group.add_argument(
        "--rendezvous", metavar="HOST:PORT", help="of --nodes: where the machines meet (default: on this one)"
    )
    group.add_argument(
        "--ray", metavar="ADDRESS", help="train on a Ray cluster, HOST:PORT or auto: on all its machines, or --nodes"
    )


def run_shared(
    options: argparse.Namespace, work: Callable[..., tuple[str, ...]], job: Job, data: Dataset | DetectionSet
) -> tuple[str, ...] | None:
    """What the first process's `work(job)` returned, None where another machine or process tells the result.

    Alone, or started by torchrun, `work` gets the data besides, which has been loaded.
    """
    from millijoule.train.cluster import run_on_nodes, run_on_ray
    from millijoule.train.loop.machine import Machine

    nodes, rendezvous, ray = (getattr(options, name, None) for name in ("nodes", "rendezvous", "ray"))
    if rendezvous and (ray or not nodes):
        raise OptionError("--rendezvous is for --nodes without --ray: leave it out, or say how many machines meet")
    if ray:
        source = Path(job.config["source"]).expanduser()
        if source.exists():  # Ray's processes begin in another folder
            job = replace(job, config={**job.config, "source": str(source.absolute())})
        job = replace(job, folder=job.folder.absolute())
        with _told(job.folder):
            return run_on_ray(work, job, address=ray, nodes=nodes, folder=job.folder)
    if nodes:
        return run_on_nodes(work, job, nodes=nodes, rendezvous=rendezvous).get(0)
    notes = work(job, data)
    return notes if Machine().writes else None


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Inside, what other machines write about each epoch is shown on stderr."""
    from millijoule.train.run_folder import read_metrics

    done = threading.Event()
    before = len(read_metrics(folder))

    def tell() -> None:
        shown = before
        while not done.wait(1):
            for epoch in (epochs := read_metrics(folder))[shown:]:
                accuracy = f"loss {epoch.loss:.4f}, validation accuracy {epoch.accuracy:.4f}"
                print(f"epoch {epoch.epoch}: {accuracy}", file=sys.stderr)
            shown = len(epochs)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
