"""Training on images that are larger than the memory that it gets.

    python benchmarks/training_memory.py [--gigabytes 3] [--allowed 0.5]

Writes a folder of .npy files with random images (512×512, grey) of that size and trains LeNet-5 on them for one epoch
in a process that may allocate no more than `--allowed` (RLIMIT_DATA; maps of files do not count); then again with the
same images as an array in memory, as those of an .npz file are. Memory is what the process had of its own beyond an
idle one with torch, at most (RssAnon, read twenty times a second). Linux only; needs room in the temporary folder.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import millijoule

SIDE, TEST_IMAGES = 512, 100
WORKER = """
import resource, sys, threading, time
from dataclasses import replace
import numpy as np
import millijoule as mj
from millijoule.train.network import import_torch

folder, in_memory, allowed = sys.argv[1], sys.argv[2] == "in memory", int(sys.argv[3])

def status(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) * 1024

def watch():
    global most
    while True:
        most = max(most, status("RssAnon"))
        time.sleep(0.05)

import_torch()
before = most = status("RssAnon")
resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + allowed,) * 2)
threading.Thread(target=watch, daemon=True).start()
data = mj.load_data(folder)
try:
    if in_memory:
        data = replace(data, x_train=np.array(data.x_train))
    mj.train(mj.zoo.lenet5(), data, epochs=1, batch_size=64, progress=False, must_learn=False)
except MemoryError:
    print("out of memory")
else:
    print(most - before)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--allowed", type=float, default=0.5, metavar="GIGABYTES")
    options = parser.parse_args()
    table = Table("images", "size", "allowed", "memory", "size / memory")
    with tempfile.TemporaryDirectory() as folder:
        size = write_images(Path(folder), round(options.gigabytes * 1e9) // SIDE**2)
        for kind in ("mapped", "in memory"):
            memory = run(folder, kind, round(options.allowed * 1e9))
            cells = ("out of memory", "") if memory is None else (f"{memory / 1e9:.2f} GB", f"{size / memory:.1f}")
            table.add_row(kind, f"{size / 1e9:.2f} GB", f"{options.allowed:.2f} GB", *cells)
    Console(width=100).print(table)


def write_images(folder: Path, count: int) -> int:
    """Write the four files, a few images at a time; return the bytes of the training images."""
    random = np.random.default_rng(0)
    for name, images in (("train", count), ("test", TEST_IMAGES)):
        shape = (images, SIDE, SIDE)
        file = np.lib.format.open_memmap(folder / f"x_{name}.npy", "w+", np.uint8, shape)
        for start in range(0, images, 64):
            file[start : start + 64] = random.integers(0, 256, (len(file[start : start + 64]), SIDE, SIDE), np.uint8)
        file.flush()
        np.save(folder / f"y_{name}.npy", np.arange(images) % 10)
    return count * SIDE**2


def run(folder: str, kind: str, allowed: int) -> int | None:
    """Bytes that a training took, None if it did not get them."""
    command = [sys.executable, "-c", WORKER, folder, kind, str(allowed)]
    root = Path(millijoule.__file__).parents[1]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root)
    return None if result.stdout.strip() == "out of memory" else int(result.stdout)


if __name__ == "__main__":
    main()
