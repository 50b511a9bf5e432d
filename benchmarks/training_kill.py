"""Training that is killed again and again ends like training that was not.

    python benchmarks/training_kill.py [--kills 20] [--epochs 40]

LeNet-5 learns the digits, once in peace, once in processes that are killed (SIGKILL: nothing can be cleaned up) at
random moments, from before the first epoch to the middle of writing a checkpoint, and begun again with the same
command. Afterwards a process is left alone to finish. All weights must be equal, bit for bit, and after every kill the
checkpoint must be readable. One thread.
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
from millijoule.train.run_folder import read_metrics


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

        chance, done, before_any = random.Random(0), [], 0
        for number in range(options.kills):
            process = subprocess.Popen(
                [*command, "--out", str(war)], stderr=subprocess.DEVNULL, start_new_session=True, **quiet
            )
            # Most of the kills fall after the imports, so that the training gets on.
            try:
                process.wait(chance.uniform(0, first_epoch + 1.5 * whole / options.kills))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if (war / FILE).exists():
                load_checkpoint(war, zoo.lenet5())
                done.append(read_metrics(war)[-1].epoch)
            else:
                before_any += 1
            left = [path.name for path in war.glob(".*")] if war.exists() else []
            print(f"kill {number + 1}: epoch {done[-1] if done else 0}{f', left behind: {left}' if left else ''}")
        subprocess.run([*command, "--out", str(war)], check=True, **quiet)
        expected, found = load_run(peace).weights, load_run(war).weights
        equal = all(np.array_equal(expected[name], found[name]) for name in expected)
        print(
            f"{options.kills} kills, {before_any} before the first checkpoint, the last in epoch "
            f"{done[-1] if done else 0} of {options.epochs}: weights {'equal, bit for bit' if equal else 'DIFFER'}"
        )
        sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
