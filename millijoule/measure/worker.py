"""One network in one engine at one batch, in a process of its own: memory and threads are this run's alone.

Reads one JSON object from stdin, `Task`'s fields; writes JSON objects to stdout, one a line: `ready`, then, once a line
has come in, `done`, or at any time `error`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP = 3
"""Runs before any is timed."""


def main() -> None:
    task = json.loads(sys.stdin.readline())
    # What engines print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        _pin(task["threads"])
        _work(task, say)
    except MemoryError:
        say(event="error", kind="MemoryError", text="not enough memory")
    except Exception as error:
        text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        say(event="error", kind=type(error).__name__, text=text.strip())


def _work(task: dict[str, Any], say: Any) -> None:
    import numpy as np

    from millijoule.measure.engines import load
    from millijoule.measure.timing import repeat

    x = np.load(task["input"])
    before = resident("VmRSS")
    loaded = load(task["engine"], Path(task["path"]), x, task["threads"], task["device"])
    outputs = np.asarray(loaded.run())
    for _ in range(WARM_UP - 1):
        loaded.run()
    np.save(task["output"], outputs)
    say(event="ready", version=loaded.version, settings=loaded.settings)
    sys.stdin.readline()
    begin = time.time()
    seconds = repeat(loaded.run, task["least_seconds"], task["most_seconds"], task["wanted"])
    end = time.time()
    say(event="done", seconds=seconds, begin=begin, end=end, resident_before=before, resident_peak=resident("VmHWM"))


def resident(name: str) -> int | None:
    """Bytes of this process in memory, now (`VmRSS`) or at most so far (`VmHWM`); None where Linux's /proc is not."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _pin(threads: int) -> None:
    """Keep this process on as many processors as it has threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


if __name__ == "__main__":
    main()
