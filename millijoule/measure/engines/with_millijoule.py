"""The emitted C on this computer: int8, one thread, image after image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import millijoule
from millijoule.measure.engines import Loaded
from millijoule.run.host import HostLibrary


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    about = json.loads(path.with_suffix(".json").read_text())
    library = HostLibrary(path, about["name"], x[0].size, about["output_bytes"])
    return Loaded(millijoule.__version__, "int8, one thread", lambda: library.run(x))
