"""`deploy`: from images or a model file to firmware that runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import millijoule
from millijoule.cli.command import (
    Command,
    add_data,
    add_input,
    add_memories,
    add_strips,
    fit_to,
    is_annotated,
    positive,
    real,
    show,
    whole,
)
from millijoule.cli.trained import add_numbers, images_for, is_trained, load_trained, take_own_data
from millijoule.errors import OptionError, ToolError
from millijoule.target import CONTRACTS, OBJECTIVES

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.model import Model
    from millijoule.train import Dataset


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
        choices=OBJECTIVES,
        default="speed",
        help="speed: the fewest instructions that fit the device's RAM (default); ram: the least RAM, layers executed "
        "by rows or by pixels, whatever that takes in instructions (plan --frontier: what a little more RAM saves)",
    )
    parser.add_argument(
        "--input",
        choices=CONTRACTS,
        default="overwrite",
        help="how the firmware is given its input: overwrite, an inference overwrites it (default); keep; push, row by "
        "row as from a camera, so that no frame is stored; or read, from wherever it lies outside of the arena",
    )
    add_strips(parser)
    add_memories(parser, "an arena in the device's RAM and one in its second memory, with the least traffic to that")
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
        "--emulator",
        choices=("unicorn", "qemu", "none"),
        help="what runs the firmware (default: unicorn, or qemu for cores that unicorn does not know)",
    )
    parser.add_argument(
        "--keep-dead-channels",
        action="store_true",
        help="leave in the channels that `millijoule reduce` proves not to matter",
    )
    parser.add_argument(
        "--flash-for-speed",
        action="store_true",
        help="keep the weights of convolutions and dense layers as int16: twice their flash, fewer instructions, by "
        "Arm's table about as many cycles (Cortex-M4, M7, M33)",
    )
    add_numbers(parser)
    parser.add_argument("--samples", type=positive, metavar="N", help="run the first N test images (default: all)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="passes over the training images")
    parser.add_argument("--learning-rate", type=real, metavar="R", help="the highest of the training")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of weights, order and splits (default: 0)")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="keep training's state here, and resume from it"
    )


def _model_and_data(options: argparse.Namespace) -> tuple[Model, Dataset | DetectionSet | None]:
    """The model that the options name, trained if it has no numbers, and the images that it is tried on."""
    take_own_data(options)
    if is_annotated(options.data):
        detector = load_trained(options)
        return detector, images_for(detector, options)
    data = None
    if options.data:
        data = millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)
    if is_trained(options):
        return load_trained(options, data), data
    if options.mean or options.std:
        raise OptionError("--mean and --std are for networks trained elsewhere; leave them out")
    if data is None:
        millijoule.zoo.get(options.model)  # Tells the nearest name of one that is not known.
        raise OptionError(f"'{options.model}' is a network of the zoo: give --data to train it on, or a model file")
    graph = millijoule.zoo.get(options.model, **fit_to(options.model, data))
    model = millijoule.train(
        graph,
        data,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        seed=options.seed,
        checkpoint=options.checkpoint,
    )
    return model, data


def _run(options: argparse.Namespace) -> None:
    from millijoule.deploy import check_replaceable
    from millijoule.report.deployment import tables
    from millijoule.report.progress import counting

    device = millijoule.load_device(options.device)
    if options.out:
        check_replaceable(options.out)  # told before time is spent on training
    model, data = _model_and_data(options)
    with counting("running the firmware") as progress:
        deployment = millijoule.deploy(
            model,
            device,
            data=data,
            folder=options.out,
            compiler=options.compiler,
            optimize=options.optimize,
            input=options.input,
            ram=options.ram,
            strips=options.strips,
            level=f"-O{options.level}",
            emulator=options.emulator,
            samples=options.samples,
            keep_dead_channels=options.keep_dead_channels,
            flash_for_speed=options.flash_for_speed,
            progress=progress,
        )
    show(options, deployment.to_json(), tables.deployment(deployment))
    if deployment.bit_exact is False:
        raise ToolError(
            f"{deployment.outputs_compared - deployment.outputs_equal} of {deployment.outputs_compared} output bytes "
            f"differ from the reference: do not use '{deployment.folder}'; please report this model as a bug"
        )


DEPLOY = Command("deploy", "train or load a network, make firmware of it, run it and report", _run, _options)
