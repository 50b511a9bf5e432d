"""Parameters and MACs of the zoo beside what others publish and count, with the reason of every difference.

    python benchmarks/zoo_counts.py --data DIR

DIR/tables holds paper_counts.csv (the papers' figures), caffe_counts.csv (counted from Caffe prototxt files),
torchvision_meta.csv (metadata of torchvision's weights), keras_applications.csv (the table of keras.io) and
tool_shootout.csv (counted by running the modules of other packages). MACs are those of convolutions and dense layers.

A figure agrees if it is equal, or equal when rounded or cut to the digits that the source prints. Where the reason of a
difference is how others count, ours is counted in that way too. Exit code 1 if a figure differs for no reason given
here, a reason is given where nothing differs, or such a count is not the published one.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from millijoule import zoo
from millijoule.cost import Cost, cost

Network = tuple[str, dict[str, Any]]
"""A name of the zoo, and arguments."""

CAFFE_STRIDE = {"stride_in": "1x1"}
SHUFFLE_V1 = {
    f"ShuffleNet v1 1x g{mark}{g}": ("shufflenet_v1", {"groups": g}) for g in (1, 2, 3, 4, 8) for mark in ("", "=")
}
SHUFFLE_V2 = {f"ShuffleNet v2 {width:g}x": ("shufflenet_v2", {"width": width}) for width in (0.5, 1.0, 1.5, 2.0)}

# What a table calls a network, where that is not our name written otherwise.
NAMES: dict[str, dict[str, Network]] = {
    "paper_counts": {
        "LeNet-5": ("lenet5_1998", {}),
        "NiN ImageNet": ("nin", {}),
        "MobileNetV2 (1.4)": ("mobilenet_v2", {"width": 1.4}),
        "ShuffleNet (1.5)": ("shufflenet_v1", {"width": 1.5}),
        "ShuffleNet (x2)": ("shufflenet_v1", {"width": 2.0}),
        **{f"ResNet-{layers}": (f"resnet{layers}", CAFFE_STRIDE) for layers in (50, 101, 152)},
        **SHUFFLE_V1,
        **SHUFFLE_V2,
    },
    "caffe_counts": {
        "AlexNet (BVLC, 227)": ("alexnet", {}),
        "GoogLeNet deploy (no aux)": ("googlenet", {}),
        "GoogLeNet train_val (2 aux heads)": ("googlenet", {"auxiliary": True}),
        "NiN ImageNet": ("nin", {}),
        "ResNet-50 (MSRA)": ("resnet50", CAFFE_STRIDE),
        "ResNet-152 (MSRA)": ("resnet152", CAFFE_STRIDE),
        "SqueezeNet 1.0": ("squeezenet1_0", {"input_shape": (227, 227, 3)}),
        "SqueezeNet 1.1": ("squeezenet1_1", {"input_shape": (227, 227, 3)}),
        **SHUFFLE_V1,
        **SHUFFLE_V2,
    },
    "torchvision_meta": {
        "AlexNet_Weights": ("alexnet_torchvision", {}),
        "GoogLeNet_Weights": ("googlenet_torchvision", {}),
        "Inception_V3_Weights": ("inception_v3", {"auxiliary": True}),
        **{
            f"ShuffleNet_V2_X{width:.1f}_Weights".replace(".", "_"): ("shufflenet_v2", {"width": width})
            for width in (0.5, 1.0, 1.5, 2.0)
        },
    },
    "keras_applications": {
        "MobileNet": ("mobilenet_v1", {}),
        **{f"ResNet{layers}": (f"resnet{layers}", CAFFE_STRIDE) for layers in (50, 101, 152)},
    },
    "tool_shootout": {
        "LeNet-5 (dense C3)": ("lenet5", {}),
        "AlexNet 2012 (groups)": ("alexnet", {}),
        "NiN ImageNet": ("nin", {}),
        "GoogLeNet BN (no aux)": ("googlenet_torchvision", {}),
        "ShuffleNet v1 2x g3": ("shufflenet_v1", {"width": 2.0}),
        **SHUFFLE_V1,
        **SHUFFLE_V2,
    },
}

NUMBER = re.compile(r"([\d,]+)(?:\.(\d+))?\s*(K|M|million|G|e9)?")
UNITS = {"": 1.0, "K": 1024.0, "M": 1e6, "million": 1e6, "G": 1e9, "e9": 1e9}
"""K is written by the paper of GoogLeNet alone, and means 1024 there (Table 1: 1000K weights from 1024 to 1000)."""

KERAS_BIAS = "Keras gives every convolution a bias, as many as batch-norm has channels"
KERAS_SCALE = "Keras leaves out batch-norm's scale, one for each channel"
PRESET = "the preset has 5, 10 and 5 modules; the released weights have 10, 20 and 10"
FARMINGYARD = "another's model: in units of stride 2 the bottleneck is a quarter of the branch, not of the unit"
CHANNELS = "not what the channels in the same row of the table give"
NO_CLASSIFIER = "the paper's Table 1 leaves out the classifier"
FIRST_UNIT = "as the authors' code: stage 2's first unit keeps 24 channels in one branch; additions of the average, too"

# (table, network, quantity) → why a figure differs from ours.
REASONS = {
    ("caffe_counts", "ResNet-50 (MSRA)", "learned_params"): "theirs has a bias in conv1, 64",
    ("caffe_counts", "Inception-v3", "learned_params"): "the preset leaves out batch-norm's scale and bias, 34,432",
    ("caffe_counts", "Inception-ResNet-v2", "learned_params"): PRESET,
    ("caffe_counts", "Inception-ResNet-v2", "conv_fc_macs"): PRESET,
    (
        "caffe_counts",
        "SqueezeNet 1.0",
        "conv_fc_macs",
    ): "theirs pads conv10 to 15x15; torchvision and version 1.1 do not",
    ("caffe_counts", "ShuffleNet v1 1x g3", "learned_params"): FARMINGYARD,
    ("caffe_counts", "ShuffleNet v1 1x g3", "conv_fc_macs"): FARMINGYARD,
    ("torchvision_meta", "Inception_V3_Weights", "gmacs_ops"): "theirs is run without the auxiliary classifier",
    ("keras_applications", "ResNet50", "params_exact_2020"): KERAS_BIAS,
    ("keras_applications", "ResNet101", "params_exact_2020"): KERAS_BIAS,
    ("keras_applications", "ResNet152", "params_exact_2020"): KERAS_BIAS,
    ("keras_applications", "InceptionV3", "params_exact_2020"): KERAS_SCALE,
    ("keras_applications", "InceptionResNetV2", "params_exact_2020"): KERAS_SCALE,
    ("paper_counts", "AlexNet", "neurons conv1"): "figure 2's caption contradicts 55 x 55 x 96",
    ("paper_counts", "GoogLeNet", "conv1 params"): "the paper's row is too low for 7x7 kernels from 3 to 64 channels",
    ("paper_counts", "GoogLeNet", "conv1 MACs"): "the paper's row is too low for 7x7 kernels from 3 to 64 channels",
    **{
        ("paper_counts", "GoogLeNet", f"{module} params"): CHANNELS
        for module in ("4a", "4b", "4c", "4d", "4e", "5a", "5b")
    },
    ("paper_counts", "GoogLeNet", "5a MACs"): CHANNELS,
    (
        "paper_counts",
        "Inception-v3",
        "params",
    ): "Xception's Table 3, 207,840 fewer. Tried, alone and together: batch-norm with 0 to 4 numbers a channel, 1001 "
    "classes, 32 or 64 channels behind each pool of 5b to 5d, 128 to 192 in each of 6b to 6e, a stem of 64, two 3x3 "
    "for 5x5: none gives it",
    ("paper_counts", "MobileNetV1", "MAdds"): "MobileNetV2's Table 4; MobileNetV1's own paper says 569 M",
    ("paper_counts", "MobileNetV2", "params"): "the paper leaves out batch-norm, 34,112",
    ("paper_counts", "MobileNetV2 (1.4)", "params"): "Table 4; the authors' model list says 6.06 M",
    ("paper_counts", "MobileNetV2 (1.4)", "MAdds"): "Table 4; the authors' model list says 582 M",
    (
        "paper_counts",
        "ShuffleNet (x2)",
        "MAdds",
    ): "the paper widens the stem to 48 channels, the authors' code keeps 24",
    (
        "paper_counts",
        "ShuffleNet v1 1x g=3",
        "complexity (mult-adds)",
    ): "a count by others, 2,016 fewer than tool_shootout's, which is ours; no layer, bias or classifier makes that up",
    **{("paper_counts", f"ShuffleNet v1 1x g={g}", "complexity (mult-adds)"): NO_CLASSIFIER for g in (4, 8)},
    **{("paper_counts", f"ShuffleNet v2 {width}x", "FLOPs"): FIRST_UNIT for width in ("0.5", "1", "1.5", "2")},
}


def without_classifier(counted: Cost) -> int:
    return counted.macs - sum(layer.macs for layer in counted.layers if layer.name == "output")


def with_their_first_unit(counted: Cost) -> int:
    """In stage 2's first unit, megvii-model/ShuffleNet-Series (ShuffleNetV2/blocks.py) has branches of 24 and c - 24
    output channels, torchvision of c / 2 each: at 28x28, 24 * 24 + (c / 2)(c - 24) for 24 * c / 2 + (c / 2)² MACs."""
    shapes = {layer.name: layer.output_shape for layer in counted.layers}
    height, width, channels = shapes["stage2_unit1_shuffle"]
    positions = prod(shapes["last"][:2]) * shapes["last"][2]
    return counted.macs + height * width * (channels // 2 - 24) ** 2 + positions


# What the reason above makes of our count, which must then be the published one.
CONVENTIONS = {NO_CLASSIFIER: without_classifier, FIRST_UNIT: with_their_first_unit}


@dataclass(frozen=True)
class Figure:
    """A number of a table. text: as printed there. found: the same quantity, counted here."""

    table: str
    network: str
    quantity: str
    text: str
    found: int

    @property
    def agrees(self) -> bool:
        return self.is_rounded(self.found)

    def is_rounded(self, found: int) -> bool:
        """Whether the printed number is `found`, rounded or cut."""
        value, unit = number(self.text)
        rounded, cut = abs(found - value) <= unit / 2, value <= found < value + unit
        return rounded or cut if unit > 1 else found == value

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.table, self.network, self.quantity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()

    table = Table(show_edge=False)
    for column in ("table", "network", "quantity", "published", "millijoule", "difference", "reason"):
        table.add_column(column, justify="right" if column in ("published", "millijoule", "difference") else "left")
    figures, unexplained = list(read(options.data / "tables")), 0
    for figure in figures:
        value, _ = number(figure.text)
        difference, reason = "", ""
        if not figure.agrees:
            difference, reason = f"{(figure.found - value) / value:+.2%}", REASONS.get(figure.key, "NOT EXPLAINED")
        text = f"{int(figure.text):,}" if figure.text.isdigit() else figure.text
        table.add_row(*figure.key, text, f"{figure.found:,}", difference, reason)
        if reason in CONVENTIONS:
            explained = CONVENTIONS[reason](counted(network(figure.table, figure.network)))
            table.add_row("", "", "", "", f"{explained:,}", "", "by that" if figure.is_rounded(explained) else "WRONG")
            unexplained += not figure.is_rounded(explained)
    Console(width=190).print(table)
    differing = [figure for figure in figures if not figure.agrees]
    print(f"{len(figures)} figures: {len(figures) - len(differing)} agree, {len(differing)} differ")
    wrong = {figure.key for figure in differing} ^ set(REASONS)
    for key in sorted(wrong):
        print("differs without a reason, or has one without a difference:", *key, file=sys.stderr)
    sys.exit(bool(wrong) or bool(unexplained))


def number(text: str) -> tuple[float, float]:
    """A printed number and the worth of its last digit: `1.8e9` → (1.8e9, 1e8), `60,965,224` → (60965224, 1).

    Three zeros or more at the end of a whole number are those of rounding.
    """
    match = NUMBER.fullmatch(text)
    if match is None:
        raise SystemExit(f"'{text}' is not a number that this benchmark reads")
    whole, decimals, suffix = match.groups(default="")
    unit = UNITS[suffix]
    digits = whole.replace(",", "")
    value = float(f"{digits}.{decimals or 0}") * unit
    zeros = len(digits) - len(digits.rstrip("0")) if suffix == "" else 0
    return value, 10.0**zeros if zeros >= 3 else unit * 10.0 ** -len(decimals)


def network(table: str, name: str) -> Network | None:
    """Ours for the name in a table, if the zoo has it."""
    if name in NAMES[table]:
        return NAMES[table][name]
    plain = {re.sub("[^a-z0-9]", "", entry.name): entry.name for entry in zoo.entries()}
    ours = plain.get(re.sub("[^a-z0-9]", "", name.lower().removesuffix("_weights")))
    return (ours, {}) if ours else None


@cache
def _counted(name: str, arguments: tuple[tuple[str, Any], ...]) -> Cost:
    return cost(zoo.get(name, **dict(arguments)))


def counted(found: Network) -> Cost:
    return _counted(found[0], tuple(found[1].items()))


def read(tables: Path) -> Iterator[Figure]:
    """Every figure of the tables that the zoo also has."""
    for table, name_column, columns in (
        ("caffe_counts", "network", {"learned_params": "params", "conv_fc_macs": "macs"}),
        ("torchvision_meta", "weights_class", {"params": "params", "gmacs_ops": "macs"}),
        ("keras_applications", "model", {"params_exact_2020": "params"}),
        ("tool_shootout", "model", {"params": "params", "exact_conv_linear_macs": "macs"}),
    ):
        seen = set()
        for row in rows(tables, table):
            found = network(table, row[name_column])
            if found is None or row[name_column] in seen or row.get("task", "classification") != "classification":
                continue
            seen.add(row[name_column])
            for column, quantity in columns.items():
                if row[column]:
                    text = row[column] + (" G" if column == "gmacs_ops" else "")
                    ours = counted(found)
                    # Keras counts batch-norm's running statistics among the parameters.
                    more = ours.statistics if table == "keras_applications" else 0
                    yield Figure(table, row[name_column], column, text, getattr(ours, quantity) + more)
    for row in rows(tables, "paper_counts"):
        found = network("paper_counts", row["network"])
        for text in dict.fromkeys((row["published"], row["counted_or_exact"])):
            if found and NUMBER.fullmatch(text):
                ours = quantity_of(found, row["quantity"])
                if ours is not None:
                    yield Figure("paper_counts", row["network"], row["quantity"], text, ours)


def rows(tables: Path, name: str) -> list[dict[str, str]]:
    with (tables / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def quantity_of(found: Network, quantity: str) -> int | None:
    """A quantity of paper_counts.csv: of the network, or of a layer or inception module that it names."""
    of_all = re.fullmatch(r"(total )?(params|MACs|FLOPs|MAdds|connections)( @\d+| \(mult-adds\))?", quantity)
    if quantity == "params with 2 aux heads":
        return counted((found[0], {"auxiliary": True})).params
    if quantity in ("complexity (mult-adds)", "neurons"):
        of_all = re.fullmatch(r"()(\w+).*", {"neurons": "neurons"}.get(quantity, "MACs"))
    if of_all:
        whole = counted(found)
        kind = of_all[2]
        if kind == "neurons":
            return sum(prod(layer.output_shape) for layer in whole.layers if layer.macs)
        return {"params": whole.params, "connections": whole.connections}.get(kind, whole.macs)
    of_layer = re.fullmatch(r"(\w+)( RBF)? (?:trainable )?(params|MACs|connections)|(neurons) (\w+)", quantity)
    if of_layer is None:
        return None
    name, kind = of_layer[1] or of_layer[5], of_layer[3] or of_layer[4]
    name = {"linear": "output"}.get(name.lower(), name.lower())
    layers = [layer for layer in counted(found).layers if layer.name == name or layer.name.startswith(f"{name}_")]
    if not layers:
        return None
    if kind == "neurons":
        return prod(layers[0].output_shape)
    if kind == "connections":
        return sum(layer.macs + layer.additions for layer in layers)
    return sum(layer.params if kind == "params" else layer.macs for layer in layers)


if __name__ == "__main__":
    main()
