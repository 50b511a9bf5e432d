"""Training that is killed again and again ends like training that was not.

    python benchmarks/training_kill.py [--kills 20] [--epochs 40]

LeNet-5 learns the digits, once in peace, once in processes that are killed (SIGKILL: nothing can be cleaned up) at
random moments, from before the first epoch to the middle of writing a checkpoint, and begun again with the same
command. Each time it gets at most a few epochs further, so that all kills find it at work. Afterwards a process is left
alone to finish. All weights must be equal, bit for bit, and after every kill the checkpoint must be readable. One
thread.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from millijoule import zoo
from millijoule.train import load_run
from millijoule.train.checkpoint import FILE, load_checkpoint
from millijoule.train.run_folder import METRICS, read_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        peace, war = Path(folder) / "peace", Path(folder) / "war"
        command = [sys.executable, "-m", "millijoule", "train", "lenet5", "--data", "digits"]
        command += ["--epochs", str(options.epochs)]
        quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
        start = time.monotonic()
        subprocess.run([*command, "--out", str(peace)], check=True, **quiet)
        whole = time.monotonic() - start
        first_epoch = whole - sum(epoch.seconds for epoch in read_metrics(peace))
        epoch = (whole - first_epoch) / options.epochs

        chance, in_training, before_any = random.Random(0), 0, 0
        for number in range(options.kills):
            process = subprocess.Popen(
                [*command, "--out", str(war)], stderr=subprocess.DEVNULL, start_new_session=True, **quiet
            )
            further = chance.randrange(max(1, options.epochs // options.kills))
            wait_for(process, war, epochs_done(war) + further)
            time.sleep(chance.uniform(0, epoch if further else first_epoch + epoch))
            if process.poll() is None:
                in_training += 1
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if (war / FILE).exists():
                load_checkpoint(war, zoo.lenet5())
            else:
                before_any += 1
            left = [path.name for path in war.glob(".*")] if war.exists() else []
            print(f"kill {number + 1}: epoch {epochs_done(war)}{f', left behind: {left}' if left else ''}")
        last = epochs_done(war)
        subprocess.run([*command, "--out", str(war)], check=True, **quiet)
        expected, found = load_run(peace).weights, load_run(war).weights
        equal = all(np.array_equal(expected[name], found[name]) for name in expected)
        print(
            f"{options.kills} kills, {in_training} of them before the training had ended, {before_any} before the "
            f"first checkpoint, the last in epoch {last} of {options.epochs}: weights "
            f"{'equal, bit for bit' if equal else 'DIFFER'}"
        )
        sys.exit(0 if equal and in_training == options.kills else 1)


def epochs_done(folder: Path) -> int:
    """Epochs that the record tells of."""
    return read_metrics(folder)[-1].epoch if (folder / METRICS).exists() else 0


def wait_for(process: subprocess.Popen, folder: Path, epochs: int) -> None:
    """Until the record tells of so many epochs, or the process has ended."""
    while epochs_done(folder) < epochs and process.poll() is None:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
