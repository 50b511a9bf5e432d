"""`deploy`: from images or a model file to firmware that runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import millijoule
from millijoule.cli.command import Command, add_data, add_input, fit_to, is_file, positive, real, show, whole
from millijoule.errors import OptionError, ToolError

if TYPE_CHECKING:
    from millijoule.model import Model


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default="lenet5",
        metavar="MODEL",
        help="a .tflite or .onnx file, the folder of a training, or a network of the zoo to train on --data (default: "
        "lenet5)",
    )
    add_input(parser)
    parser.add_argument("--device", required=True, help="the device to build for; `millijoule devices` lists them")
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write (default: <model>-<device>-firmware)"
    )
    parser.add_argument(
        "--optimize",
        choices=("speed", "ram"),
        default="speed",
        help="speed: the fewest instructions that fit the device's RAM (default); ram: the least RAM, layers executed "
        "row by row",
    )
    parser.add_argument(
        "--input",
        choices=("overwrite", "keep", "push"),
        default="overwrite",
        help="how the firmware is given its input: overwrite, an inference overwrites it (default); keep; or push, row "
        "by row as from a camera, so that no frame is stored",
    )
    parser.add_argument(
        "--compiler", choices=("zig", "gcc"), default="zig", help="zig: clang from pip; gcc: arm-none-eabi"
    )
    parser.add_argument(
        "-O",
        dest="level",
        choices=("0", "1", "2", "3", "s"),
        default="2",
        help="the compiler's optimisation level: -O2 (default), -Os …",
    )
    parser.add_argument(
        "--emulator", choices=("unicorn", "qemu", "none"), default="unicorn", help="what runs the firmware"
    )
    parser.add_argument(
        "--keep-dead-channels",
        action="store_true",
        help="leave in the channels that `millijoule reduce` proves not to matter",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="numbers for the network of the zoo, which is then not trained: a state dict of PyTorch (.pt, .pth, …) or "
        "a .safetensors file",
    )
    for name, what in (("mean", "is subtracted from"), ("std", "then divides")):
        parser.add_argument(
            f"--{name}",
            type=_per_channel,
            metavar="R,G,B",
            help=f"what {what} pixels of 0…1 before a float network gets them: one number, or one for each channel",
        )
    parser.add_argument("--samples", type=positive, metavar="N", help="run the first N test images (default: all)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="passes over the training images")
    parser.add_argument("--learning-rate", type=real, metavar="R", help="the highest of the training")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of weights, order and splits (default: 0)")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="keep training's state here, and resume from it"
    )


def _run(options: argparse.Namespace) -> None:
    from millijoule.deploy import check_replaceable
    from millijoule.report import table
    from millijoule.report.progress import counting
    from millijoule.train.run_folder import is_run, load_run

    device = millijoule.load_device(options.device)
    if options.out:
        check_replaceable(options.out)  # told before time is spent on training
    data = None
    if options.data:
        data = millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)
    if is_run(options.model):
        model = load_run(options.model)
    elif is_file(options.model):
        if options.weights:
            raise OptionError(f"'{options.model}' is a file; --weights are for a network of the zoo")
        model = millijoule.load(options.model, options.shape, trust=options.trust)
    elif data is None:
        raise OptionError(f"'{options.model}' is a network of the zoo: give --data to train it on, or a model file")
    else:
        graph = millijoule.zoo.get(options.model, **fit_to(options.model, data))
        if options.weights:
            model = millijoule.load(options.weights, network=graph, trust=options.trust)
        else:
            model = millijoule.train(
                graph,
                data,
                epochs=options.epochs,
                learning_rate=options.learning_rate,
                seed=options.seed,
                checkpoint=options.checkpoint,
            )
    model = _normalised(model, options)
    with counting("running the firmware") as progress:
        deployment = millijoule.deploy(
            model,
            device,
            data=data,
            folder=options.out,
            compiler=options.compiler,
            optimize=options.optimize,
            input=options.input,
            level=f"-O{options.level}",
            emulator=options.emulator,
            samples=options.samples,
            keep_dead_channels=options.keep_dead_channels,
            progress=progress,
        )
    show(options, deployment.to_json(), table.deployment(deployment))
    if deployment.bit_exact is False:
        raise ToolError(
            f"{deployment.outputs_compared - deployment.outputs_equal} of {deployment.outputs_compared} output bytes "
            f"differ from the reference: do not use '{deployment.folder}'; please report this model as a bug"
        )


def _per_channel(text: str) -> list[float]:
    """0.485,0.456,0.406 as numbers."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < float("inf") for number in numbers):
        raise argparse.ArgumentTypeError(f"'{text}' is not one number of 0 or more, or several with commas between")
    return numbers


def _normalised(model: Model, options: argparse.Namespace) -> Model:
    """The model with what --mean and --std say of its input."""
    given = {name: getattr(options, name) for name in ("mean", "std") if getattr(options, name) is not None}
    if not given:
        return model
    if model.is_int8:
        raise OptionError(
            f"model '{model.graph.name}' is int8: its input's scale says it all; leave --mean and --std out"
        )
    if not is_file(options.model) and not options.weights:
        raise OptionError("--mean and --std are for networks trained elsewhere; leave them out")
    channels = model.graph.inputs[0].shape[-1]
    for name, numbers in given.items():
        if len(numbers) not in (1, channels) or (name == "std" and not all(numbers)):
            raise OptionError(f"--{name} is {numbers}; {channels} numbers are needed, or one, those of --std above 0")
    both = {"mean": [0.0], "std": [1.0]} | given
    return replace(model, preprocess={name: (list(each) * channels)[:channels] for name, each in both.items()})


DEPLOY = Command("deploy", "train or load a network, make firmware of it, run it and report", _run, _options)
