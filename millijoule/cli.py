"""The command line: parses, calls, prints; nothing else."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule
from millijoule.errors import MillijouleError, OptionError, ToolError

if TYPE_CHECKING:
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.train import Dataset

EPILOG = "Data goes to stdout, messages to stderr. Exit code 0: done; 1: the model does not fit; 2: an error."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except MillijouleError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was left half written", 2)
    except BrokenPipeError:
        # The reader of a pipe has seen enough: not an error. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 2)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millijoule", description="What a CNN costs on a device, and how it runs there for less.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"millijoule {millijoule.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        sub.set_defaults(command=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
        return sub

    sub = command("deploy", _deploy, "train or load a network, make firmware of it, run it and report")
    sub.add_argument(
        "model",
        nargs="?",
        default="lenet5",
        metavar="MODEL",
        help="a .tflite file, or a network of the zoo to train on --data (default: lenet5)",
    )
    sub.add_argument("--device", required=True, help="the device to build for; `millijoule devices` lists them")
    sub.add_argument(
        "--data",
        metavar="DATA",
        help="labelled images: digits, an .npz with x_train, y_train, x_test, y_test, a folder with one sub-folder "
        "of images per class, or a name known to Hugging Face datasets",
    )
    sub.add_argument("--skip-bad", action="store_true", help="use the rest where some images cannot be read")
    sub.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: <model>-<device>-firmware)")
    sub.add_argument(
        "--compiler", choices=("zig", "gcc"), default="zig", help="zig: clang from pip; gcc: arm-none-eabi"
    )
    sub.add_argument(
        "-O",
        dest="level",
        choices=("0", "1", "2", "3", "s"),
        default="2",
        help="the compiler's optimisation level: -O2 (default), -Os …",
    )
    sub.add_argument(
        "--emulator", choices=("unicorn", "qemu", "none"), default="unicorn", help="what runs the firmware"
    )
    sub.add_argument("--samples", type=_positive, metavar="N", help="run the first N test images (default: all)")
    sub.add_argument("--epochs", type=_positive, metavar="N", help="passes over the training images")
    sub.add_argument("--seed", type=_whole, default=0, metavar="N", help="of weights, order and splits (default: 0)")
    sub.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="keep training's state here, and resume from it")

    sub = command("cost", _cost, "parameters, MACs, size and memory of a network, before anything is trained")
    sub.add_argument("model", metavar="MODEL", help="a network of the zoo or a .tflite file")

    sub = command("plan", _plan, "where every value of a network lies in memory, and when")
    sub.add_argument("model", metavar="MODEL", help="a network of the zoo or a .tflite file")

    command("devices", _devices, "the devices that are known")
    command("zoo", _zoo, "the networks that are known")
    command("doctor", _doctor, "what is installed, what is missing and how to get it")
    return parser


def _whole(text: str, least: int = 0) -> int:
    """A whole number of `least` or more."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {least} or more")
    return int(text)


def _positive(text: str) -> int:
    return _whole(text, least=1)


def _is_file(name: str) -> bool:
    return os.sep in name or Path(name).suffix != "" or Path(name).is_file()


def _graph_or_model(name: str) -> Graph | Model:
    return millijoule.load(name) if _is_file(name) else millijoule.zoo.get(name)


def _show(options: argparse.Namespace, json_value: Any, table: Any) -> None:
    if options.json:
        print(json.dumps(json_value, indent=2))
    else:
        from millijoule.report.table import print_tables

        print_tables(table)


def _deploy(options: argparse.Namespace) -> None:
    from millijoule.report import table
    from millijoule.report.progress import counting

    device = millijoule.load_device(options.device)
    data = None
    if options.data:
        data = millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)
    if _is_file(options.model):
        model = millijoule.load(options.model)
    elif data is None:
        raise OptionError(f"'{options.model}' is a network of the zoo: give --data to train it on, or a .tflite file")
    else:
        graph = millijoule.zoo.get(options.model, **_fit_to(options.model, data))
        model = millijoule.train(graph, data, epochs=options.epochs, seed=options.seed, checkpoint=options.checkpoint)
    with counting("running the firmware") as progress:
        deployment = millijoule.deploy(
            model,
            device,
            data=data,
            folder=options.out,
            compiler=options.compiler,
            optimize=f"-O{options.level}",
            emulator=options.emulator,
            samples=options.samples,
            progress=progress,
        )
    _show(options, deployment.to_json(), table.deployment(deployment))
    if deployment.bit_exact is False:
        raise ToolError(
            f"{deployment.outputs_compared - deployment.outputs_equal} of {deployment.outputs_compared} output bytes "
            f"differ from the reference: do not use '{deployment.folder}'; please report this model as a bug"
        )


def _fit_to(name: str, data: Dataset) -> dict[str, Any]:
    """The arguments with which a network of the zoo takes the data's classes."""
    takes = {entry.name: entry.arguments for entry in millijoule.zoo.entries()}.get(name, ())
    return {"classes": len(data.classes)} if "classes" in takes else {}


def _cost(options: argparse.Namespace) -> None:
    from millijoule.report import table

    costs = millijoule.cost(_graph_or_model(options.model))
    _show(options, costs.to_json(), table.cost(costs))


def _plan(options: argparse.Namespace) -> None:
    from millijoule.report import table

    planned = millijoule.plan(_graph_or_model(options.model))
    _show(options, planned.to_json(), table.plan(planned))


def _devices(options: argparse.Namespace) -> None:
    from millijoule.report import table

    known = millijoule.list_devices()
    _show(options, [asdict(device) for device in known], table.devices(known))


def _zoo(options: argparse.Namespace) -> None:
    from millijoule.report import table
    from millijoule.report.networks import summarise

    networks = summarise(millijoule.zoo.entries())
    _show(options, [network.to_json() for network in networks], table.zoo(networks))


def _doctor(options: argparse.Namespace) -> None:
    from millijoule.report import table

    checks = millijoule.doctor()
    _show(options, [asdict(check) for check in checks], table.doctor(checks))
