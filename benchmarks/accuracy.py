"""Accuracy of what is trained here, float and int8, on digits over several seeds and on MNIST.

    python benchmarks/accuracy.py [--data DIR] [--seeds N]

digits: scikit-learn's, trained on 1,437 images, tested on 360. MNIST: DIR/images/mnist.npz, trained on 60,000, tested
on 10,000, one seed. Test images are looked at only to print this table. `agree`: the share of outputs of the firmware
that equal the integer reference, over all test images in the emulator (nucleo-f446re); LeNet-5 on digits for seed 0,
the other networks of the zoo that take digits for seed 0 too, then LeNet-5 on MNIST. Targets: 98 % on digits, 99 % on
MNIST, at most 0.5 points lost.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.report.deployment import Deployment
from millijoule.train import Dataset, accuracy

NETWORKS = ("perceptron", "two_layer", "multilayer", "lenet5_1998")
DEVICE = "nucleo-f446re"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()

    table = Table("network", "data", "seeds", "float", "int8", "points lost", "agree", "seconds")
    digits = mj.load_data("digits")
    spread(table, digits, options.seeds)
    for name in ("lenet5", *NETWORKS):
        whole(table, name, digits)
    if options.data:
        whole(table, "lenet5", mj.load_data(str(options.data / "images" / "mnist.npz")))
    Console(width=120).print(table)


def spread(table: Table, data: Dataset, seeds: int) -> None:
    """Rows for the mean and the worst of LeNet-5 over seeds."""
    start = time.monotonic()
    floats, int8s = [], []
    for seed in range(seeds):
        model = mj.train(mj.zoo.lenet5(), data, seed=seed)
        floats.append(accuracy(model, data.x_test, data.y_test))
        int8s.append(accuracy(mj.quantize(model, data.x_train), data.x_test, data.y_test))
    seconds = f"{(time.monotonic() - start) / seeds:.0f} each"
    lost = [before - after for before, after in zip(floats, int8s, strict=True)]
    for label, of, most in (("mean of", statistics.mean, statistics.mean), ("worst of", min, max)):
        row = f"{of(floats):.2%}", f"{of(int8s):.2%}", f"{100 * most(lost):.2f}"
        table.add_row("lenet5", data.name, f"{label} 0…{seeds - 1}", *row, "", seconds)


def whole(table: Table, name: str, data: Dataset) -> None:
    """A row for one network, seed 0, from images to firmware that has run on all test images."""
    start = time.monotonic()
    model = mj.train(mj.zoo.get(name), data)
    with tempfile.TemporaryDirectory() as folder:
        deployment: Deployment = mj.deploy(model, DEVICE, data=data, folder=Path(folder) / "out")
    before, after = deployment.accuracy["float"], deployment.accuracy["int8_device"]
    assert before is not None
    assert after is not None
    table.add_row(
        name,
        data.name,
        "0",
        f"{before:.2%}",
        f"{after:.2%}",
        f"{100 * (before - after):.2f}",
        f"{deployment.outputs_equal / deployment.outputs_compared:.2%} of {deployment.outputs_compared:,}",
        f"{time.monotonic() - start:.0f}",
    )


if __name__ == "__main__":
    main()
