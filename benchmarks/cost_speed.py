"""How long costing takes: whole processes from a cold start, beside the counters that run on PyTorch.

    python benchmarks/cost_speed.py --peer-python /path/to/python

The peers' Python needs torch, torchvision, torchinfo, fvcore and ptflops. Each command is one process that starts
Python, builds ResNet-152 and prints parameters and MACs; the median of --repeats runs, interleaved, is shown. CPU time
is user and system time of the process; wall time is also that of whatever else the computer does. A ratio is the
peer's CPU time / ours.

Then, in this process: CPU time to build and cost every network of the zoo, and graphs of 1,000, 10,000 and 40,000
layers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, BatchNorm, Conv2d, Relu

PEERS = {
    "torchinfo": "import torchinfo; print(torchinfo.summary(model, (1, 3, 224, 224), verbose=0))",
    "fvcore": "from fvcore.nn import FlopCountAnalysis, parameter_count; import torch; "
    "print(FlopCountAnalysis(model, torch.zeros(1, 3, 224, 224)).total(), parameter_count(model)[''])",
    "ptflops": "from ptflops import get_model_complexity_info; "
    "print(get_model_complexity_info(model, (3, 224, 224), print_per_layer_stat=False))",
}
BUILD = "from torchvision.models import resnet152; model = resnet152().eval(); "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    ours = [sys.executable, "-m", "millijoule", "cost", "resnet152"]
    commands = {
        "millijoule cost resnet152": ours,
        "millijoule … --by total": [*ours, "--by", "total"],
        "millijoule … --json": [*ours, "--json"],
        **{name: [options.peer_python, "-c", BUILD + code] for name, code in PEERS.items()},
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            times[name].append(run(command))
    cpu = {name: statistics.median(each[0] for each in runs) for name, runs in times.items()}
    wall = {name: statistics.median(each[1] for each in runs) for name, runs in times.items()}
    first = cpu["millijoule cost resnet152"]
    table = Table(box=SIMPLE_HEAD)
    for column in ("command", "CPU, s", "wall, s", "CPU / ours"):
        table.add_column(column, justify="left" if column == "command" else "right")
    for name in commands:
        table.add_row(name, f"{cpu[name]:.2f}", f"{wall[name]:.2f}", f"{cpu[name] / first:.1f}")
    console = Console(width=100, highlight=False)
    console.print(table)
    console.print(f"millijoule {mj.__version__}; peers: {peer_versions(options.peer_python)}")

    start = time.process_time()
    for entry in mj.zoo.entries():
        mj.cost(entry.function())
    console.print(f"All {len(mj.zoo.entries())} networks of the zoo: {time.process_time() - start:.2f} s of CPU")
    for layers in (1_000, 10_000, 40_000):
        graph = chain(layers)
        start = time.process_time()
        mj.cost(graph)
        spent = time.process_time() - start
        console.print(f"{layers:,} layers: {spent:.2f} s of CPU, {1e6 * spent / layers:.0f} µs each")


def run(command: list[str]) -> tuple[float, float]:
    """(CPU, wall) seconds of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"error: {' '.join(command)} failed; run it to see why")
    return usage.ru_utime + usage.ru_stime, wall


def peer_versions(python: str) -> str:
    names = ("torch", "torchvision", *PEERS)
    code = f"from importlib.metadata import version; print(', '.join(n + ' ' + version(n) for n in {names}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def chain(layers: int) -> Graph:
    """Residual blocks of four layers, one after the other."""
    build = Builder("chain", (8, 8, 4))
    for block in range(layers // 4):
        x = build.last
        build(f"conv{block}", Conv2d(channels=4, kernel=3, padding="same", bias=False))
        build(f"norm{block}", BatchNorm())
        build(f"add{block}", Add(), x, build.last)
        build(f"relu{block}", Relu())
    return build.graph()


if __name__ == "__main__":
    main()
