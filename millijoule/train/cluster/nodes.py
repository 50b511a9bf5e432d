"""One function on several machines, by torchrun's launcher."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from millijoule import errors
from millijoule.errors import MillijouleError, OptionError
from millijoule.train.network import import_torch

Job = TypeVar("Job")
Result = TypeVar("Result")

RESTARTS = 3
"""How often all processes are started again after one of them died."""
PORT = 29400
"""Where torchrun meets if nothing else is said."""


def run_on_nodes(work: Callable[[Job], Result], job: Job, *, nodes: int, rendezvous: str | None) -> dict[int, Result]:
    """Call `work(job)` on this machine and, where the same is called, on others; return what this machine's returned.

    The result's keys are ranks. Every machine has one process, or one for each of its GPUs; RANK and WORLD_SIZE are set
    as torchrun sets them. If a process dies, all are started again, up to RESTARTS times: `work` must go on where it
    was.

    work: a function that can be imported. nodes: how many machines there are; nothing begins before all have come.
    rendezvous: `HOST:PORT` of one of them, the same for all; default: this machine.

    A MillijouleError of `work` is raised as it is, after the restarts. Raises OptionError if the machines do not meet,
    MillijouleError if processes died too often.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # it has stack traces of every attempt to connect
    torch = import_torch()
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    if rendezvous is None:
        rendezvous = f"{socket.gethostname()}:{PORT}"
        if nodes > 1:
            print(
                f"waiting for {nodes - 1} more: give them the same command with --rendezvous {rendezvous}",
                file=sys.stderr,
            )
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=max(1, torch.cuda.device_count()),
        run_id="millijoule",
        rdzv_backend="c10d",
        rdzv_endpoint=rendezvous,
        max_restarts=RESTARTS,
    )
    try:
        results: dict[int, Result] = elastic_launch(config, work)(job)
        return results
    except ChildFailedError as error:
        raise _reason(*error.get_first_failure()) from None
    except (RendezvousError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise OptionError(
            f"the {nodes} machines do not meet at '{rendezvous}' ({lines[0]}): --rendezvous must be HOST:PORT of one "
            "of them, which the others can reach, and the command must run on all"
        ) from None
    except SignalException:
        raise KeyboardInterrupt from None


def _reason(rank: int, failure: Any) -> MillijouleError:
    """What ended a process for good, in one line: its MillijouleError, whose kind stands before the message."""
    message = failure.message if isinstance(failure.message, str) else failure.message["message"]
    kind, _, text = message.partition(": ")
    if issubclass(getattr(errors, kind, object), MillijouleError):
        known: MillijouleError = getattr(errors, kind)(text)
        return known
    line = (message.strip().splitlines() or ["no reason was given"])[-1]
    return MillijouleError(
        f"training ended after {RESTARTS} restarts: process {rank}: {line}; the same command goes on from the last "
        "checkpoint"
    )
