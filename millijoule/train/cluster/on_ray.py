"""One function on the machines of a Ray cluster, by Ray Train."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from millijoule.errors import MillijouleError, OptionError, ToolError

Job = TypeVar("Job")
Result = TypeVar("Result")

RESTARTS = 3
"""How often all processes are started again after one of them died."""
RECORD = ".ray"
"""Ray's own record, in the folder of the training while it runs."""


def run_on_ray(work: Callable[[Job], Result], job: Job, *, address: str, nodes: int | None, folder: Path) -> Result:
    """Call `work(job)` on machines of a Ray cluster; return what the first process returns.

    Every machine has one process, or one for each of its GPUs. Before `work` begins, torch.distributed connects them
    and RANK and WORLD_SIZE are set as torchrun sets them. If a process dies, all are started again, up to RESTARTS
    times: `work` must go on where it was.

    work: a function that every machine can import. address: of the cluster, `HOST:PORT`, or `auto` on one of its
    machines. nodes: how many machines; default: all. folder: of the training, on a disk that they share.

    A MillijouleError of `work` is raised as it is, at once. Raises ToolError without Ray or if no cluster answers,
    OptionError if it has too few machines, MillijouleError if processes died too often. Ctrl-C ends all of them.
    """
    ray, train, ray_torch = _import_ray()

    class Refusal(train.UserCallback):  # type: ignore[misc, name-defined]
        """What would fail again is not started again."""

        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            for error in worker_exceptions.values():
                if isinstance(error, MillijouleError):
                    raise error

    record = folder.absolute() / RECORD
    with _connected(ray, address):
        workers, resources = _share(ray, address, nodes)
        trainer = ray_torch.TorchTrainer(
            work,
            train_loop_config=job,
            scaling_config=train.ScalingConfig(
                num_workers=workers,
                use_gpu="GPU" in resources,
                resources_per_worker=resources,
                placement_strategy="SPREAD",
            ),
            run_config=train.RunConfig(
                storage_path=str(record),
                failure_config=train.FailureConfig(max_failures=RESTARTS),
                callbacks=[Refusal()],
                logging_config=train.LoggingConfig(log_level="ERROR"),
            ),
        )
        # In a thread of its own, since Ray would take Ctrl-C for itself; what is left of it ends with the connection.
        thread = ThreadPoolExecutor(1)
        try:
            result: Result = thread.submit(trainer.fit).result().return_value
        except train.TrainingFailedError as error:
            raise _reason(error) from None
        finally:
            thread.shutdown(wait=False)
            shutil.rmtree(record, ignore_errors=True)
        return result


def _import_ray() -> tuple[Any, Any, Any]:
    """The modules ray, ray.train and ray.train.torch."""
    try:
        return import_module("ray"), import_module("ray.train"), import_module("ray.train.torch")
    except ImportError:
        raise ToolError("--ray needs Ray Train, which is missing: pip install 'millijoule[ray]'") from None
    except Exception as error:  # it looks for GPUs with whatever libraries of their makers are installed
        raise ToolError(f"Ray is installed and cannot be imported ({type(error).__name__}: {error})") from None


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Inside, this process is a driver of the cluster; one that was connected before stays so."""
    if ray.is_initialized():
        yield
        return
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        with _signals_kept():
            ray.init(address=address, logging_level="error", log_to_driver=False)
    except (RuntimeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ToolError(
            f"no Ray cluster answers at '{address}' ({reason}): start one with `ray start --head`, and `ray start "
            "--address=HOST:6379` on the other machines"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Inside, signals may be taken over, as Ray does to abort; afterwards they do what they did."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _share(ray: Any, address: str, nodes: int | None) -> tuple[int, dict[str, float]]:
    """(processes, what each of them needs) on `nodes` machines: their GPUs, else all cores of the smallest."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    machines = sorted(alive, key=lambda has: (has.get("GPU", 0), has.get("CPU", 0)), reverse=True)
    machines = [has for has in machines if has.get("CPU", 0) >= 1]
    if not machines or (nodes or 1) > len(machines):
        raise OptionError(
            f"--nodes is {nodes or 1}, the Ray cluster at '{address}' has {len(machines)} machines with a free core: "
            "add some with `ray start --address=HOST:6379`"
        )
    machines = machines[:nodes]
    gpus = [int(has.get("GPU", 0)) for has in machines]
    if all(gpus):
        cores = min(has["CPU"] // count for has, count in zip(machines, gpus, strict=True))
        workers, needs = sum(gpus), {"CPU": max(1, cores), "GPU": 1}
    else:
        workers, needs = len(machines), {"CPU": min(has["CPU"] for has in machines)}
    if any(ray.available_resources().get(name, 0) < workers * amount for name, amount in needs.items()):
        print(f"the Ray cluster at '{address}' is busy: training begins when it has room", file=sys.stderr)
    return workers, needs


def _reason(error: Any) -> MillijouleError:
    """What ended a training on Ray, in one line."""
    failures = getattr(error, "worker_failures", None) or {0: getattr(error, "controller_failure", error)}
    for failure in failures.values():
        if isinstance(failure, MillijouleError):
            return failure
    rank, failure = min(failures.items())
    lines = str(failure).strip().splitlines() or [type(failure).__name__]
    return MillijouleError(
        f"training on Ray ended after {RESTARTS} restarts: process {rank}: {lines[-1]}; "
        "the same command goes on from the last checkpoint"
    )
