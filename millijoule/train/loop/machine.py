"""What a training runs on: device, number format, compiler, and the workers that share one batch."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from millijoule.train.loop.settings import Settings
from millijoule.train.network import import_torch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")


class Machine:
    """One process of a training, alone or one of several that torchrun or Ray started.

    device: `cuda` or `mps` if there is one, else `cpu`. rank, workers: this process's number and how many there are.
    notes: what was asked for and could not be had.
    """

    def __init__(self) -> None:
        torch = import_torch()
        self.rank, self.workers = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = "cpu"
        if torch.cuda.is_available():
            self.device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        elif torch.backends.mps.is_available() and self.workers == 1:
            self.device = "mps"
        self.notes: list[str] = []
        self._wrapped: list[Any] = []

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Inside, the workers can talk to each other: by NCCL on GPUs, else by gloo. Ray has connected its own.

        Afterwards gloo's threads have ended: one that lets go of a tensor while Python ends would abort the process.
        They live as long as anything holds the process group.
        """
        torch = import_torch()
        if self.workers == 1 or torch.distributed.is_initialized():
            yield
            return
        # The defaults of its functions are the group that there is when it is first imported: there must be none yet.
        import_module("torch.distributed.nn.functional")
        torch.distributed.init_process_group("nccl" if self.device.startswith("cuda") else "gloo")
        try:
            yield
        finally:
            self._wrapped.clear()
            gc.collect()
            torch.distributed.destroy_process_group()

    @property
    def has_bfloat16(self) -> bool:
        """Whether bfloat16 has instructions of its own, so that it is faster than float32."""
        torch = import_torch()
        if self.device.startswith("cuda"):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        if self.device == "mps" or not hasattr(torch.cpu, "get_capabilities"):
            return False
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in BFLOAT16_INSTRUCTIONS)

    def precision(self, settings: Settings) -> AbstractContextManager[Any]:
        """Inside, convolutions and dense layers are computed as the settings say."""
        if settings.precision != "bfloat16":
            return nullcontext()
        torch = import_torch()
        context: AbstractContextManager[Any] = torch.autocast(self.device.split(":")[0], torch.bfloat16)
        return context

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Inside, torch's random numbers follow from `seed` and the worker; afterwards they go on as before."""
        torch = import_torch()
        # torch.manual_seed would format a stack trace for every kind of device, which takes longer than a small step.
        generator = torch.default_generator
        if self.device.startswith("cuda"):
            generator = torch.cuda.default_generators[torch.device(self.device).index]
        state = generator.get_state()
        generator.manual_seed(seed + self.rank)
        try:
            yield
        finally:
            generator.set_state(state)

    def wrapped(self, network: torch.nn.Module, settings: Settings) -> Callable[..., Any]:
        """What the training steps call: the network, compiled and shared among workers where that is asked for.

        Workers must be `joined`, and can no longer call it when they are not.
        """
        self._wrapped.append(self._wrap(network, settings))
        at = len(self._wrapped) - 1
        return lambda *inputs, **options: self._wrapped[at](*inputs, **options)

    def _wrap(self, network: torch.nn.Module, settings: Settings) -> Any:
        torch = import_torch()
        if self.workers > 1:
            devices = [self.device] if self.device.startswith("cuda") else None
            network = torch.nn.parallel.DistributedDataParallel(network, device_ids=devices)
        if not settings.compiled:
            return network
        if self.device == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
            self.notes.append("torch.compile needs a C++ compiler, and none was found: the network ran uncompiled")
            return network
        return torch.compile(network)

    def part(self, count: int) -> slice:
        """Which of `count` images this worker takes."""
        return slice(self.rank, count, self.workers)

    def share_of_mean(self, loss: Tensor, part: slice, count: int) -> Tensor:
        """The mean loss of this worker's part, scaled so that the mean over workers is the mean over all images."""
        if self.workers == 1:
            return loss
        return loss * (len(range(*part.indices(count))) * self.workers / count)

    def agree(self, arrays: Iterable[Tensor]) -> None:
        """Give every worker the first one's numbers: batch-norm's statistics are of each worker's own images."""
        if self.workers == 1:
            return
        torch = import_torch()
        for array in arrays:
            torch.distributed.broadcast(array.detach(), 0)

    def summed(self, *numbers: float) -> tuple[Any, ...]:
        """The sum of each number over all workers."""
        if self.workers == 1:
            return numbers
        torch = import_torch()
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(sums)
        return tuple(sums.tolist())
