"""PyTorch: a program of torch.export, eager or through torch.compile, on any device that it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from millijoule.measure.engines import Loaded


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    import torch

    torch.set_num_threads(threads)
    network: Any = torch.export.load(path).module().to(device)
    if compiled:
        network = torch.compile(network)
    inputs = torch.from_numpy(x).to(device)

    def run() -> np.ndarray:
        with torch.inference_mode():
            # The copy to the host waits for the device.
            outputs: np.ndarray = network(inputs).cpu().numpy()
            return outputs

    return Loaded(torch.__version__, f"{'torch.compile' if compiled else 'eager'}, {device}", run)
