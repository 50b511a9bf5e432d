"""Published weights in a network of the zoo: accuracy, float with torch and int8 with the emitted C on this computer.

    python benchmarks/weights.py --data DIR [--images N] [--compared N]
    python benchmarks/weights.py --torchvision

DIR/models/resnet_cifar10/resnet20-12fca82f.th holds the ResNet-20 weights of akamaster/pytorch_resnet_cifar10, which
publishes 91.73 % (a test error of 8.27 %) on CIFAR-10; they were trained on images normalised by ImageNet's means and
standard deviations. DIR/images/cifar10_webp.npz holds CIFAR-10. int8 is calibrated on training images. --images: how
many test images (default: all); --compared: on how many the C is compared with the integer reference.

--torchvision: state dicts of torchvision's networks, with random numbers, go into ours; the difference is the largest
|ours - theirs| for two random inputs, relative to the largest |theirs|. Exit code 1 if one is above 1e-4.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from reference import cifar10
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost.device import target_of
from millijoule.model import Model
from millijoule.run.host import HostLibrary, build_host
from millijoule.train import Dataset, accuracy, predict, quantized_inputs

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PREPROCESS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
PUBLISHED = 0.9173
STATE_DICTS = {
    "alexnet_torchvision": "alexnet",
    "densenet121": "densenet121",
    "googlenet_torchvision": "googlenet",
    "inception_v3": "inception_v3",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "shufflenet_v2": "shufflenet_v2_x1_0",
    "squeezenet1_0": "squeezenet1_0",
    "vgg11": "vgg11",
}
"""Ours → torchvision's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--compared", type=int, default=200)
    options = parser.parse_args()
    if options.torchvision:
        sys.exit(torchvision())
    if options.data is None:
        parser.error("--data is needed")
    file = options.data / "models" / "resnet_cifar10" / "resnet20-12fca82f.th"
    model = replace(mj.load(file, network=mj.zoo.get("resnet20")), preprocess=PREPROCESS)
    data = dataset(options.data)
    images, labels = data.x_test[: options.images], data.y_test[: options.images]
    right = accuracy(model, images, labels)
    quantized = mj.quantize(model, data.x_train)
    inputs = quantized_inputs(quantized, images)
    outputs = on_host(quantized, inputs)
    right_int8 = float(np.mean(outputs.argmax(axis=1) == labels))
    first = quantized.run(inputs[: options.compared])[quantized.graph.outputs[0]]
    equal = int(np.sum(first == outputs[: options.compared]))
    table = Table("network", "test images", "published", "float", "int8", "points lost", "C equals reference")
    table.add_row(
        "resnet20",
        f"{len(images):,}",
        f"{PUBLISHED:.2%}",
        f"{right:.2%}",
        f"{right_int8:.2%}",
        f"{100 * (right - right_int8):.2f}",
        f"{equal:,} of {first.size:,}",
    )
    Console(width=120).print(table)


def torchvision() -> bool:
    """Whether a network's outputs differ from torchvision's with the same state dict."""
    import torch
    from torchvision import models

    table = Table("network", "torchvision's", "difference")
    worst = 0.0
    for ours, theirs in STATE_DICTS.items():
        torch.manual_seed(0)
        arguments = {"aux_logits": False, "init_weights": False} if theirs in ("googlenet", "inception_v3") else {}
        network = models.get_model(theirs, weights=None, **arguments).eval()
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.pth"
            torch.save(network.state_dict(), file)
            model = mj.load(file, network=mj.zoo.get(ours))
        x = torch.randn(2, *model.graph.inputs[0].shape)
        with torch.inference_mode():
            expected = network(x.permute(0, 3, 1, 2)).numpy()
        found = predict(model, x.numpy())
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        worst = float(np.maximum(worst, difference))
        table.add_row(ours, theirs, f"{difference:.1e}")
    Console(width=120).print(table)
    return not worst <= 1e-4


def on_host(model: Model, inputs: np.ndarray) -> np.ndarray:
    """int8 (n, outputs) of the emitted C on this computer."""
    device = mj.load_device("host")
    with tempfile.TemporaryDirectory() as folder:
        mj.emit(model, mj.plan(model, target=target_of(device)), device, Path(folder))
        library = build_host(Path(folder), model.graph.name)
        size = int(np.prod(model.graph.shapes[model.graph.outputs[0]]))
        return HostLibrary(library, model.graph.name, inputs[0].size, size).run(inputs)


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
