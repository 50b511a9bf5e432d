"""Our eager peak memory beside what PyTorch allocates, for the networks of a measured table.

    python benchmarks/memory_peak.py --data DIR

DIR/tables/memory_shootout.csv holds, for each network, the most bytes that PyTorch's tensors held at once during one
eager float32 inference on a CPU (`memtracker_peak_act_mib`, without parameters and buffers), and what torchinfo
estimates (`torchinfo_fwdbwd_mib`). Our number comes from the graph alone, by the rule in millijoule/cost/memory.py.
Order of execution and blocks are those of torchvision's definitions where it has the network; Xception's are timm's,
ShuffleNet v1's its authors' (their code, megvii-model/ShuffleNet-Series, run under the counter of
tests/cost/test_memory.py, holds 3.732 MiB with 3 groups and 5.455 with 8; pytorchcv's would hold 3.015 and 4.307).
MiB. A ratio is ours / measured; the last column is torchinfo's.
"""

import argparse
import csv
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import millijoule as mj

NETWORKS = {
    "LeNet-5 (dense C3)": ("lenet5", {}),
    "AlexNet 2012 (groups)": ("alexnet", {}),
    "AlexNet torchvision": ("alexnet_torchvision", {}),
    "NiN ImageNet": ("nin", {}),
    "VGG-16": ("vgg16", {}),
    "VGG-19": ("vgg19", {}),
    "GoogLeNet BN (no aux)": ("googlenet_torchvision", {}),
    # The auxiliary classifiers do not run at inference.
    "GoogLeNet BN (aux)": ("googlenet_torchvision", {}),
    "ResNet-50": ("resnet50", {}),
    "ResNet-152": ("resnet152", {}),
    "Inception-v3": ("inception_v3", {}),
    "Inception-ResNet-v2": ("inception_resnet_v2", {}),
    "DenseNet-121": ("densenet121", {}),
    "DenseNet-169": ("densenet169", {}),
    "DenseNet-201": ("densenet201", {}),
    "Xception": ("xception", {}),
    "MobileNetV2": ("mobilenet_v2", {}),
    "ShuffleNet v1 1x g3": ("shufflenet_v1", {}),
    "ShuffleNet v1 1x g8": ("shufflenet_v1", {"groups": 8}),
    "ShuffleNet v1 2x g3": ("shufflenet_v1", {"width": 2.0}),
    "ShuffleNet v2 1x": ("shufflenet_v2", {}),
    "ShuffleNet v2 2x": ("shufflenet_v2", {"width": 2.0}),
    "SqueezeNet 1.0": ("squeezenet1_0", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()

    table = Table(box=SIMPLE_HEAD)
    for column in ("network", "PyTorch", "millijoule", "ratio", "in layer", "torchinfo", "ratio"):
        table.add_column(column, justify="left" if column in ("network", "in layer") else "right")
    worst, within = 0.0, 0
    with (options.data / "tables" / "memory_shootout.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        name, arguments = NETWORKS[row["model"]]
        counted = mj.cost(mj.zoo.get(name, **arguments))
        measured, torchinfo = float(row["memtracker_peak_act_mib"]), float(row["torchinfo_fwdbwd_mib"])
        ours = counted.eager_peak_bytes / 2**20
        worst = max(worst, abs(ours / measured - 1))
        within += abs(ours / measured - 1) <= 0.02
        table.add_row(
            row["model"],
            f"{measured:.3f}",
            f"{ours:.3f}",
            f"{ours / measured:.3f}",
            counted.eager_peak_layer,
            f"{torchinfo:.3f}",
            f"{torchinfo / measured:.2f}",
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"{within} of {len(rows)} within 2 %; the worst is {100 * worst:.1f} % off.", highlight=False)


if __name__ == "__main__":
    main()
