"""What quantization, pruning and distillation cost in accuracy, and bring in bytes, instructions and energy.

    python benchmarks/shrink.py --data cifar10.npz --runs DIR [--epochs N] [--again N] [--networks …] [--rows …]
        [--published NETWORK=FILE …] [--record FILE] [--html FILE]

Rows of each network: `float`; `int8`, quantized after training; `qat`, trained on as int8; `pruned` to half of its MACs
and trained again as `millijoule prune` does; `distilled` from another network. Each training is a run folder in DIR, so
that the same command goes on where it was stopped and trains nothing twice; a run that is there is taken as it is.
Where --rows leaves out what a row needs, it is trained all the same. Rows that are done are kept in --record (default:
shrink.json in DIR) and not made again; remove one there to make it anew. With a record and without --runs, the rows in
it are shown. --epochs: of first trainings and distillation (default 40). --again: at most so many after pruning and as
int8 (default: what `prune` and `quantize --qat` take); fewer cost accuracy. The table says how many epochs each row was
trained: those of the float row and, behind a +, what came after. MobileNetV1 sees images of 32x32 pixels. --published:
state dicts that are taken as they are instead of a first training, of networks that see pixels as those of
akamaster/pytorch_resnet_cifar10 do; such a network is pruned or taught for --again epochs (default 8).
And resnet8_mlperf, MLPerf Tiny's ResNet-8 (mlcommons/tiny, pretrainedResnet.tflite), which sees pixels of 0…255; after
pruning it learns ResNet-56's answers, and as int8 it begins with percentile ranges.

Accuracy: all test images; int8 by the C code on this computer, which equals the integer reference. Flash, RAM and
instructions: of the firmware for --device, executed in the emulator. Energy: predicted from those instructions, with
its 90 % range. Targets for ResNet-8 on CIFAR-10: int8 after training as int8 within 0.2 points of float; pruned to half
its MACs within 1 point. --html: the table and a chart of accuracy over energy as a page.
"""

import argparse
import contextlib
import io
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import ceil, floor, log
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cli import main as command_line
from millijoule.cost.device import load_device, target_of
from millijoule.emit import emit, identifier
from millijoule.model import Model
from millijoule.report.energy import cells
from millijoule.report.layout import Column
from millijoule.report.page.frame import frame, html_table
from millijoule.report.page.svg import caption, draw
from millijoule.report.survey.labels import CHARACTER, Ball, place_labels
from millijoule.run.host import HostLibrary, build_host
from millijoule.shrink import as_shown
from millijoule.shrink.aware import EPOCHS
from millijoule.train import Dataset, accuracy, load_run, quantized_inputs
from millijoule.train.loop import choose
from millijoule.train.run_folder import CONFIG, read_config
from millijoule.whole_file import write_text

TEACHERS = {"resnet8": "resnet20", "mobilenet_v1_025": "resnet20", "resnet20": "resnet56", "resnet8_mlperf": "resnet56"}
"""Of `distilled`; after pruning and as int8, the answers of the network's own float form are learnt."""
OF_MLPERF = "resnet8_mlperf"
"""A file of TFLite: pruned with its teacher's answers, and not distilled."""
TAUGHT = ("--ask-once", "--temperature", "2", "--weight-decay", "1e-4", "--label-smoothing", "0")
"""A teacher's answers are soft labels already."""
PREPROCESS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""Of akamaster/pytorch_resnet_cifar10's networks: trainer.py, `normalize`."""
SEEN = [part for name, values in PREPROCESS.items() for part in (f"--{name}", ",".join(map(str, values)))]
SHAPES = {"mobilenet_v1_025": ["--shape", "1x3x32x32"]}
ROWS = ("float", "int8", "qat", "pruned", "distilled")
HEADERS = (
    "network",
    "how",
    "epochs",
    "MACs",
    "float",
    "int8",
    "points\nlost",
    "flash\nbytes",
    "RAM\nbytes",
    "instructions",
    "mJ",
)
SIZE, MARGIN = (900, 480), 50


@dataclass(frozen=True)
class Row:
    """What one way of shrinking gave. Accuracies are shares; lost: points between the network's float row and this
    one's int8. epochs: how many, in words. energy: as text with its range."""

    network: str
    how: str
    epochs: str
    macs: int
    float_accuracy: float
    int8_accuracy: float | None = None
    lost: float | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None
    energy_mj: float | None = None
    energy: str = ""

    def cells(self) -> tuple[str, ...]:
        def whole(value: int | None) -> str:
            return "" if value is None else f"{value:,}"

        return (
            *(self.network, self.how, self.epochs, whole(self.macs), f"{self.float_accuracy:.2%}"),
            "" if self.int8_accuracy is None else f"{self.int8_accuracy:.2%}",
            "" if self.lost is None else f"{self.lost:.2f}",
            *(whole(self.flash_bytes), whole(self.ram_bytes), whole(self.instructions), self.energy),
        )


class Runs:
    """The trainings in a folder; each is made, or finished, when it is asked for. published: network → file."""

    def __init__(self, options: argparse.Namespace, data: Dataset) -> None:
        self.folder, self.source, self.data = options.runs, options.data, data
        self.epochs, self.again = options.epochs, options.again
        self.published: dict[str, str] = dict(options.published)

    def trained(self, network: str) -> Model:
        if network == OF_MLPERF:
            pixels = {"mean": [0.0] * 3, "std": [1 / 255] * 3}
            return replace(mj.load(self.published[network]), preprocess=pixels)
        if network in self.published:
            graph = mj.zoo.get(network, classes=len(self.data.classes))
            return replace(mj.load(self.published[network], network=graph), preprocess=PREPROCESS)
        return self._run(network, ["train", network, *self._recipe(network, self.epochs)])

    def pruned(self, network: str) -> Model:
        if network == OF_MLPERF:
            teacher = self.folder / f"{TEACHERS[network]}.onnx"  # It says how it sees pixels, which is another way.
            mj.export(self.trained(TEACHERS[network]), "onnx", teacher, force=True)
            begin = ["prune", self.published[network], "--std", str(1 / 255), *self._again(network), "--keep", "best"]
            begin += [*TAUGHT, "--teacher", str(teacher)]
        elif network in self.published:
            begin = ["prune", network, "--weights", self.published[network], *SEEN, *self._again(network)]
        else:
            self.trained(network)
            few = ["--epochs", str(min(self.again, self.epochs_of(network)))] if self.again else []
            begin = ["prune", str(self.folder / network), "--data", self.source, *few]
        return self._run(f"{network}-pruned", [*begin, "--macs", "0.5"])

    def distilled(self, network: str) -> Model:
        teacher = TEACHERS[network]
        begin = ["distill", network, *TAUGHT, "--teacher"]
        if teacher in self.published:
            begin += [teacher, "--teacher-weights", self.published[teacher], *SEEN]
        else:
            self.trained(teacher)
            begin += [str(self.folder / teacher)]
        if network in self.published:
            # Gently, from what it has learnt.
            begin += ["--weights", self.published[network], "--learning-rate", "0.03", *self._again(network)]
        else:
            begin += self._recipe(network, self.epochs)
        return self._run(f"{network}-distilled", begin)

    def aware(self, network: str) -> Model:
        model = self.trained(network)
        if network in self.published:
            chosen = asdict(choose("airbench", len(self.data.x_train), 32, {"validation": 0.02}))
        else:
            chosen = read_config(self.folder / network)["settings"]
        kept = self.folder / f"{network}-qat"
        # A few large numbers would make the steps of MLPerf Tiny's coarse: without training, too, they cost 0.4 points.
        ranges = "percentile" if network == OF_MLPERF else "minmax"
        how = {"ranges": ranges, "epochs": self.aware_epochs, **as_shown(chosen)}
        return mj.quantize_aware(model, self.data, checkpoint=kept, **how)

    @property
    def aware_epochs(self) -> int:
        return min(self.again or EPOCHS, EPOCHS)

    def epochs_of(self, name: str) -> int:
        return int(read_config(self.folder / name)["settings"]["epochs"])

    def trained_for(self, network: str, how: str) -> str:
        """The epochs of a row, in words."""
        first = "published" if network in self.published else str(self.epochs_of(network))
        if how == "qat":
            return f"{first} + {self.aware_epochs}"
        if how == "pruned" or (how == "distilled" and network in self.published):
            return f"{first} + {self.epochs_of(f'{network}-{how}')}"
        return str(self.epochs_of(f"{network}-distilled")) if how == "distilled" else first

    def _again(self, network: str) -> list[str]:
        """How a published network is trained further; it has learnt the images that are held out."""
        return [*self._recipe(network, self.again or 8), "--keep", "last"]

    def _recipe(self, network: str, epochs: int) -> list[str]:
        shown = [*SHAPES.get(network, []), "--data", self.source, "--validation", "0.02"]
        return [*shown, "--recipe", "airbench", "--epochs", str(epochs)]

    def _run(self, name: str, begin: list[str]) -> Model:
        folder = self.folder / name
        command = ["train", "--resume", str(folder)] if (folder / CONFIG).exists() else [*begin, "--out", str(folder)]
        with contextlib.redirect_stdout(io.StringIO()):
            if code := command_line([*command, "--json"]):
                raise SystemExit(code)
        return load_run(folder)


def named_file(text: str) -> tuple[str, str]:
    """resnet20=FILE"""
    network, _, file = text.partition("=")
    if not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"'{text}' is not NETWORK=FILE")
    return network, file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10.npz")
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--again", type=int)
    parser.add_argument("--networks", nargs="+", choices=tuple(TEACHERS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--published", nargs="+", type=named_file, default=[], metavar="NETWORK=FILE")
    parser.add_argument("--device", default="nucleo-l4r5zi")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--html", type=Path)
    options = parser.parse_args()
    if not (options.record or options.runs):
        parser.error("--runs, to make rows, or --record, to show those that are made")
    record = options.record or options.runs / "shrink.json"
    known = json.loads(record.read_text()) if record.exists() else {"rows": []}
    done = {(row["network"], row["how"]): Row(**row) for row in known["rows"]}
    title = known.get("title", f"{Path(options.data).stem}, {options.device}")
    there = OF_MLPERF in dict(options.published) or not options.runs
    networks = options.networks or [name for name in TEACHERS if there or name != OF_MLPERF]
    if OF_MLPERF in networks and not there:
        parser.error(f"{OF_MLPERF} needs --published {OF_MLPERF}=pretrainedResnet.tflite resnet56=…")
    wanted = [key for key in product(networks, options.rows) if key != (OF_MLPERF, "distilled")]
    if options.runs:
        data = mj.load_data(options.data)
        runs = Runs(options, data)
        for network, how in wanted:
            if (network, how) not in done:
                done[network, how] = made(network, how, runs, options.device)
                rows = [asdict(done[key]) for key in product(TEACHERS, ROWS) if key in done]
                write_text(record, json.dumps({"title": title, "rows": rows}, indent=2) + "\n")
    shown = [done[key] for key in wanted if key in done]
    table = Table(*HEADERS, title=title)
    for row in shown:
        table.add_row(*row.cells())
    Console(width=160).print(table)
    if options.html:
        write_text(options.html, page(shown, title))


def made(network: str, how: str, runs: Runs, device: str) -> Row:
    """Trains what the row needs, and measures it."""
    data, trained = runs.data, runs.trained(network)
    reference = accuracy(trained, data.x_test, data.y_test)
    model, int8 = trained, None
    if how == "pruned":
        model = runs.pruned(network)
    elif how == "distilled":
        model = runs.distilled(network)
    if how == "qat":
        int8 = runs.aware(network)
    elif how != "float":
        int8 = mj.quantize(model, data.x_train)
    found = reference if model is trained else accuracy(model, data.x_test, data.y_test)
    row = Row(network, how, runs.trained_for(network, how), mj.cost(model.graph).macs, found)
    return measured(row, int8, reference, data, device) if int8 else row


def measured(row: Row, int8: Model, reference: float, data: Dataset, device: str) -> Row:
    """The row with what the int8 model gives on this computer and as firmware in the emulator."""
    found = on_host(int8, data)
    with tempfile.TemporaryDirectory() as temporary:
        deployed = mj.deploy(int8, device, data=data, folder=Path(temporary) / "firmware", samples=1)
    assert deployed.bit_exact
    energy = deployed.prediction.energy_mj if deployed.prediction else None
    return replace(
        row,
        int8_accuracy=found,
        lost=100 * (reference - found),
        flash_bytes=deployed.build.flash_bytes if deployed.build else None,
        ram_bytes=deployed.build.ram_bytes if deployed.build else None,
        instructions=deployed.mean_instructions,
        energy_mj=energy.value if energy else None,
        energy="{} ({})".format(*cells(energy)) if energy else "",
    )


def on_host(int8: Model, data: Dataset) -> float:
    """The accuracy of the C code on this computer."""
    host, name = load_device("host"), identifier(int8.graph.name)
    inputs = quantized_inputs(int8, data.x_test)
    with tempfile.TemporaryDirectory() as temporary:
        emit(int8, mj.plan(int8, target=target_of(host)), host, Path(temporary))
        library = HostLibrary(build_host(Path(temporary), name), name, inputs[0].size, len(data.classes))
        return float(np.mean(library.run(inputs).argmax(axis=1) == data.y_test))


def page(rows: list[Row], title: str) -> str:
    columns = [Column(header, text=header in ("network", "how", "epochs")) for header in HEADERS]
    table = html_table(columns, [row.cells() for row in rows])
    note = "Instructions were counted in an emulator; energy is predicted from them, with its 90 % range."
    main = f"<figure>{chart(rows)}</figure>{table}"
    return frame("shrink", "Smaller networks", title, main, [asdict(row) for row in rows], notes=[note])


def chart(rows: list[Row]) -> str:
    """int8 accuracy over predicted energy; a line joins the rows that no other row beats."""
    shown = [row for row in rows if row.int8_accuracy is not None and row.energy_mj is not None]
    if not shown:
        return ""
    left, right = 0.5 * min(row.energy_mj for row in shown), 2 * max(row.energy_mj for row in shown)
    low = floor(100 * min(row.int8_accuracy for row in shown)) - 1
    high = ceil(100 * max(row.int8_accuracy for row in shown)) + 1
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - 2 * MARGIN

    def place(energy: float, percent: float) -> tuple[float, float]:
        x = MARGIN + width * log(energy / left) / log(right / left)
        return x, MARGIN + height * (high - percent) / (high - low)

    def beaten(row: Row) -> bool:
        others = ((other.energy_mj, -other.int8_accuracy) for other in shown)
        mine = (row.energy_mj, -row.int8_accuracy)
        return any(e <= mine[0] and a <= mine[1] and (e, a) != mine for e, a in others)

    balls = [
        Ball(*place(row.energy_mj, 100 * row.int8_accuracy), 5, f"{row.network} {row.how} {row.int8_accuracy:.2%}")
        for row in shown
    ]
    parts = []
    for percent in range(low, high + 1):
        y = place(left, percent)[1]
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{MARGIN + width}" stroke="currentColor" stroke-opacity="0.15"/>\n')
        parts.append(caption(MARGIN - 34, y + 4, f"{percent} %"))
    for energy in (digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 5)):
        if left <= energy <= right:
            parts.append(caption(place(energy, low)[0] - 4, MARGIN + height + 18, f"{energy:g}"))
    best = [(ball.x, ball.y) for ball, row in zip(balls, shown, strict=True) if not beaten(row)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(best))
    parts.append(f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-dasharray="4 3"/>\n')
    for ball, label in zip(balls, place_labels(balls, *SIZE), strict=True):
        parts.append(f'<circle cx="{ball.x:.1f}" cy="{ball.y:.1f}" r="{ball.radius}" fill="currentColor"/>\n')
        start = ball.x + label.dx - len(ball.text) * CHARACTER / 2
        parts.append(caption(start, ball.y + label.dy + 4, ball.text))
    parts.append(caption(MARGIN, MARGIN - 20, "int8 accuracy on the test images"))
    parts.append(caption(MARGIN, SIZE[1] - 8, "predicted energy of an inference, mJ, logarithmic"))
    return draw(*SIZE, "int8 accuracy over predicted energy", iter(parts))


if __name__ == "__main__":
    main()
