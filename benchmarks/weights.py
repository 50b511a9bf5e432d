"""Published weights in a network of the zoo: accuracy, float and int8, and the host's firmware beside the reference.

    python benchmarks/weights.py --data DIR [--images N]

DIR/models/resnet_cifar10/resnet20-12fca82f.th holds the ResNet-20 weights of akamaster/pytorch_resnet_cifar10, which
publishes 91.73 % (a test error of 8.27 %) on CIFAR-10; they were trained on images normalised by ImageNet's means and
standard deviations. DIR/images/cifar10_webp.npz holds CIFAR-10. int8 is calibrated on training images. --images: how
many test images (default: all).
"""

from __future__ import annotations

import argparse
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import millijoule as mj
from benchmarks.reference import cifar10
from millijoule.train import Dataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PREPROCESS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
PUBLISHED = 0.9173


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=None)
    options = parser.parse_args()
    file = options.data / "models" / "resnet_cifar10" / "resnet20-12fca82f.th"
    model = replace(mj.load(file, network=mj.zoo.get("resnet20")), preprocess=PREPROCESS)
    with tempfile.TemporaryDirectory() as folder:
        deployment = mj.deploy(
            model, "host", data=dataset(options.data), folder=Path(folder) / "firmware", samples=options.images
        )
    right = deployment.accuracy
    table = Table("network", "test images", "published", "float", "int8", "points lost", "firmware equal")
    table.add_row(
        "resnet20",
        f"{options.images or 10_000:,}",
        f"{PUBLISHED:.2%}",
        f"{right['float']:.2%}",
        f"{right['int8_host']:.2%}",
        f"{100 * (right['float'] - right['int8_host']):.2f}",
        f"{deployment.outputs_equal:,} of {deployment.outputs_compared:,}",
    )
    Console(width=120).print(table)


def dataset(folder: Path) -> Dataset:
    """CIFAR-10; of the training images, the first 10,000, which is enough to calibrate on."""
    with np.load(folder / "images" / "cifar10_webp.npz") as data:
        sheet = np.asarray(Image.open(io.BytesIO(data["train_webp_0"].tobytes())))
        labels = data["y_train"][:10_000].astype(np.int64)
    images = sheet.reshape(100, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
    x_test, y_test = cifar10(folder)
    return Dataset("CIFAR-10", images, labels, x_test, y_test.astype(np.int64), CLASSES)


if __name__ == "__main__":
    main()
