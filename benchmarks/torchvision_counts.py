"""Our counts of PyTorch networks beside published ones, and our float models beside torch's own outputs.

    python benchmarks/torchvision_counts.py --data DIR [--outputs] [--only NAME …]

DIR/tables/torchvision_meta.csv holds what torchvision publishes of its weights: parameters and GMACs (`_ops`, three
decimals). Every classification network of the installed torchvision is made without numbers, exported, imported and
counted, at the weights' crop size; a difference in MACs within the published rounding, half of 0.001 GMACs, is none.
DIR/tables/micro_counts.csv holds single layers with their true MACs.

--outputs: real random numbers; the largest difference of our float model's outputs from torch's, relative to the
largest output. Needs torch, torchvision; memory for the largest network.
"""

import argparse
import csv
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

import millijoule as mj
from millijoule.errors import ModelError
from millijoule.load.torch import from_module
from millijoule.load.torch.factory import make
from millijoule.ops import Opaque

ROUNDING = 0.5e-3
LARGEST_WITH_NUMBERS = 100_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--outputs", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    wrong = 0 if options.only else micro(options.data / "tables" / "micro_counts.csv")
    with (options.data / "tables" / "torchvision_meta.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "classification"]
    return int(bool(wrong + networks(rows, options.outputs, options.only)))


def networks(rows: list[dict[str, str]], outputs: bool, only: list[str]) -> int:
    names = {models.get_model_weights(name).__name__: name for name in models.list_models(module=models)}
    print(
        f"{'network':20} {'crop':>4} {'parameters':>11} {'differ':>9} {'GMACs':>10} {'published':>9} {'differ':>8}"
        f" {'unread':>9}  not counted{'  outputs' if outputs else ''}"
    )
    seen, wrong, counted, worst = set(), 0, 0, 0.0
    for row in rows:
        name = names[row["weights_class"]]
        crop = models.get_model_weights(name)[row["weights"]].transforms().crop_size[0]
        if (name, crop) in seen or (only and name not in only):
            continue
        seen.add((name, crop))
        try:
            line, good, differ = network(name, crop, int(row["params"]), float(row["gmacs_ops"]), outputs)
        except ModelError as error:
            line, good, differ = f"{name:20} {crop:4} {error}", False, 0.0
        print(line, flush=True)
        wrong += not good
        counted += 1
        worst = max(worst, abs(differ))
    print(
        f"{counted} networks and sizes, {counted - wrong} with equal parameters and MACs within 0.5 % or the published "
        f"rounding; the worst differs by {worst:.2%}"
    )
    return wrong


def network(name: str, crop: int, params: int, gmacs: float, outputs: bool) -> tuple[str, bool, float]:
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith("vit_"):
        arguments["image_size"] = crop
    module = make(lambda: models.get_model(name, **arguments), name, numbers=False)
    graph = from_module(module, (1, 3, crop, crop), name)
    cost = mj.cost(graph)
    # Heads that only training reads: torchvision's figures hold Inception's, and not GoogLeNet's.
    unread = sum(each.numel() for each in module.parameters()) - cost.params
    ours = cost.params + (unread if name == "inception_v3" else 0)
    differ = cost.macs / 1e9 / gmacs - 1
    good = ours == params and (abs(differ) < 0.005 or abs(cost.macs / 1e9 - gmacs) <= ROUNDING)
    opaque = sorted({node.op.operator for node in graph.nodes if isinstance(node.op, Opaque)})
    line = (
        f"{name:20} {crop:4} {ours:11,} {ours - params:9,} {cost.macs / 1e9:10.4f} {gmacs:9.3f} {differ:8.2%}"
        f" {unread:9,}  {', '.join(opaque) or '-'}"
    )
    if outputs and not opaque and params <= LARGEST_WITH_NUMBERS:
        difference = largest_difference(models.get_model(name, **arguments), crop, name)
        line += f"  {difference:.1e}"
        good = good and difference < 1e-4
    return line, good, differ


def largest_difference(module: nn.Module, crop: int, name: str) -> float:
    from millijoule.train.network import network_of

    torch.manual_seed(0)
    module.eval()
    with torch.no_grad():
        for key, array in [*module.named_parameters(), *module.named_buffers()]:
            # torchvision starts some heads with zeros, and statistics with 0 and 1.
            if array.is_floating_point() and (key.endswith("running_var") or not array.any()):
                array.uniform_(0.5, 1.5) if key.endswith("running_var") else array.normal_(0, 0.02)
        model = from_module(module, (1, 3, crop, crop), name)
        x = torch.randn(1, 3, crop, crop)
        theirs = module(x)
        ours = network_of(model)(x.permute(0, 2, 3, 1))[model.graph.outputs[0]]
    return float((ours - theirs).abs().max() / theirs.abs().max())


class Case(nn.Module):
    """A function of its inputs and its own sub-modules."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        self.held = list(modules.values())
        for name, module in modules.items():
            if name != "unregistered":
                self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def _case(function, shape, **modules):
    return Case(function, **modules), shape


MAP, ROWS = (1, 16, 32, 32), (1, 10, 128)
CASES = {
    "conv3x3": (nn.Conv2d(16, 32, 3, padding=1, bias=False), MAP),
    "conv3x3 groups=4": (nn.Conv2d(16, 32, 3, padding=1, groups=4, bias=False), MAP),
    "depthwise 3x3": (nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), MAP),
    "conv3x3 dilation2": (nn.Conv2d(16, 32, 3, padding=2, dilation=2, bias=False), MAP),
    "conv3x3 stride2": (nn.Conv2d(16, 32, 3, padding=1, stride=2, bias=False), MAP),
    "conv3x3 +bias": (nn.Conv2d(16, 32, 3, padding=1), MAP),
    "convT k4 s2 p1": (nn.ConvTranspose2d(16, 32, 4, stride=2, padding=1), MAP),
    "convT k4 s2 groups4": (nn.ConvTranspose2d(16, 32, 4, stride=2, padding=1, groups=4), MAP),
    "convT depthwise s2": (nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1, groups=16), MAP),
    "conv1d k3": (nn.Conv1d(16, 32, 3, padding=1), (1, 16, 100)),
    "conv3d k3": (nn.Conv3d(2, 4, 3, padding=1), (1, 2, 8, 16, 16)),
    "F.conv2d": _case(lambda m, x: F.conv2d(x, m.held[0].weight, padding=1), MAP, conv=nn.Conv2d(16, 32, 3)),
    "Linear": (nn.Linear(128, 256), (1, 128)),
    "Linear seq (1,10,128)": (nn.Linear(128, 256), ROWS),
    "F.linear": _case(lambda m, x: F.linear(x, m.held[0].weight), (1, 128), fc=nn.Linear(128, 256)),
    "x @ w": _case(lambda m, x: x @ m.held[0].weight.t(), ROWS, fc=nn.Linear(128, 256)),
    "torch.bmm": _case(lambda m, x: torch.bmm(x, m.held[0].weight.t()[None]), ROWS, fc=nn.Linear(128, 256)),
    "einsum": _case(lambda m, x: torch.einsum("bnd,hd->bnh", x, m.held[0].weight), ROWS, fc=nn.Linear(128, 256)),
    "F.sdpa (1 head, N=10,d=64)": _case(
        lambda m, x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None]), (1, 10, 64)
    ),
    "nn.MultiheadAttention 64d 4h N=10": _case(
        lambda m, x: m.held[0](x, x, x)[0], (1, 10, 64), attention=nn.MultiheadAttention(64, 4, batch_first=True)
    ),
    "shared conv called 3x": _case(
        lambda m, x: m.held[0](m.held[0](m.held[0](x))), MAP, conv=nn.Conv2d(16, 16, 3, padding=1)
    ),
    "conv in python list": _case(lambda m, x: m.held[0](x), MAP, unregistered=nn.Conv2d(16, 16, 3, padding=1)),
    "LSTM 64->64 T=10": (nn.LSTM(64, 64, batch_first=True), (1, 10, 64)),
    "BatchNorm2d eval": (nn.BatchNorm2d(16), MAP),
    "ReLU": (nn.ReLU(), MAP),
    "MaxPool2d 2": (nn.MaxPool2d(2), MAP),
    "AvgPool2d 2": (nn.AvgPool2d(2), MAP),
    "AdaptiveAvgPool 1": (nn.AdaptiveAvgPool2d(1), MAP),
    "Upsample bilinear x2": (nn.Upsample(scale_factor=2, mode="bilinear"), MAP),
    "x+x": _case(lambda m, x: x + x, MAP),
    "weight_norm conv": (nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 32, 3, padding=1)), MAP),
    "subclassed Conv2d": (type("MyConv2d", (nn.Conv2d,), {})(16, 32, 3, padding=1), MAP),
    "F.conv_transpose2d": _case(
        lambda m, x: F.conv_transpose2d(x, m.held[0].weight, stride=2, padding=1), MAP, up=nn.ConvTranspose2d(16, 32, 4)
    ),
}
CASES["conv3x3 batch4"] = CASES["conv3x3"]
BATCH = {"conv3x3 batch4": 4}
NO_MACS = {"BatchNorm2d eval": "folded into the layer before: 0 (the table counts 1 for each element, unfolded)"}


def micro(table: Path) -> int:
    """Single layers; batches are multiples of one sample, as we count one inference."""
    with table.open(newline="") as file:
        truth = {row["case"]: (row["true_macs"], row["fvcore"]) for row in csv.DictReader(file)}
    print(f"{'case':36} {'MACs':>10} {'true':>10}")
    wrong = 0
    for name, (module, shape) in CASES.items():
        cost = mj.cost(from_module(module.eval(), shape, "case"))
        macs = cost.macs * BATCH.get(name, 1)
        true = int(float(truth[name][0])) if name in truth and truth[name][0] else None
        note = f"not counted: {', '.join(cost.not_counted)}" if cost.not_counted else NO_MACS.get(name, "")
        if not note and macs != true:
            wrong += 1
            note = "differs"
        print(f"{name:36} {macs:10,} {true if true is None else format(true, ','):>10}  {note}")
    print(f"{len(CASES)} cases of {len(truth)}, {wrong} differ; not in CASES: {sorted(set(truth) - set(CASES))}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
