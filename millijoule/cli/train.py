"""`train`, `evaluate`, `look`: networks that learn, and what they have learnt."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millijoule.cli.cluster import add_cluster
from millijoule.cli.command import (
    NETWORK,
    Command,
    add_data,
    add_force,
    add_input,
    check_files,
    is_annotated,
    load_annotated,
    show,
)
from millijoule.cli.detector import (
    add_structure,
    check_classifier,
    evaluate_on_boxes,
    is_detector,
    new_detector_config,
    structure,
    train_detector_in_folder,
)
from millijoule.cli.trained import add_normalisation, add_trained, load_trained, take_own_data
from millijoule.cli.training import (
    add_beginning,
    add_recipe,
    add_settings,
    beginning,
    changes,
    load_data,
    new_config,
    train_in_folder,
)
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.model import Model
    from millijoule.train import Dataset


def _train_options(parser: argparse.ArgumentParser) -> None:
    from millijoule.detect.training.settings import DetectorSettings

    parser.add_argument("network", nargs="?", metavar="NETWORK", help=f"{NETWORK}; or ssdlite or centre")
    add_input(parser)
    add_data(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: <network>-run)")
    parser.add_argument(
        "--resume", type=Path, metavar="FOLDER", help="go on with the training in this folder, as it was begun"
    )
    add_recipe(parser)
    parser.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    add_beginning(parser, "; of a detector, the folder of a training of its backbone")
    add_normalisation(parser)
    add_structure(parser)
    add_cluster(parser)
    add_settings(parser, DetectorSettings)


def _train(options: argparse.Namespace) -> None:
    from millijoule.detect.training.settings import DetectorSettings
    from millijoule.train.run_folder import read_config

    config, start = None, None
    if options.resume:
        named = options.network or options.data or options.out or options.shape
        begun = options.weights or options.mean or options.std or options.recipe != "auto"
        if named or begun or structure(options) or changes(options, DetectorSettings):
            raise OptionError("--resume goes on as the training was begun: leave network, --data, --out, settings out")
        config = read_config(options.resume)
    elif options.network is None or options.data is None:
        raise OptionError("train needs a network and --data: `millijoule train lenet5 --data digits`")
    detector = "boxes" in config if config else is_detector(options.network)
    load: Any = load_annotated if detector else load_data
    if config:
        data = load(config["source"], config["skip_bad"], config["settings"]["seed"])
    else:
        if not detector:
            check_classifier(options)
        data = load(options.data, options.skip_bad, options.seed or 0)
        if (options.mean or options.std) and (detector or not options.weights):
            raise OptionError("--mean and --std say what a classifier's --weights expects of pixels: leave them out")
        config = new_detector_config(options, data) if detector else new_config(options, data)
        if not detector:
            start, notes = beginning(options, config, data)
            data = replace(data, notes=(*data.notes, *notes))
    folder = options.resume or options.out or Path(f"{config['network']}-run")
    if detector:
        train_detector_in_folder(options, folder, config, data)
    else:
        train_in_folder(options, folder, config, data, start)


def _model_and_data(options: argparse.Namespace, command: str) -> tuple[Model, Dataset]:
    if is_annotated(options.data):
        raise OptionError(f"{command} is for classifiers; '{options.data}' has boxes, not labelled images")
    data = load_data(options.data, options.skip_bad, options.seed) if options.data else None
    model = load_trained(options, data)
    if data is None:
        raise OptionError(f"{command} needs --data: labelled images, whose test images are counted")
    return model, data


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)
    parser.add_argument(
        "--mirror", action="store_true", help="average the scores of each image and of its mirror image, left to right"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from millijoule.report.training import tables
    from millijoule.train import evaluate

    take_own_data(options)
    if is_annotated(options.data):
        if options.mirror:
            raise OptionError(f"--mirror is for classifiers; '{options.data}' has boxes: leave it out")
        evaluate_on_boxes(options, load_trained(options))
        return
    model, data = _model_and_data(options, "evaluate")
    evaluation = evaluate(model, data.x_test, data.y_test, data.name, data.classes, mirrored=options.mirror)
    show(options, evaluation.to_json(), tables.evaluation(evaluation))


def _look_options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)
    parser.add_argument(
        "--image", default="0", metavar="IMAGE", help="what is shown to it: the number of a test image, or a file"
    )
    parser.add_argument("--out", type=Path, default=Path("look.html"), metavar="FILE", help="default: look.html")
    add_force(parser)


def _look(options: argparse.Namespace) -> None:
    from rich.text import Text

    from millijoule.report.training import tables
    from millijoule.report.training.look_page import write_look_page
    from millijoule.train import evaluate
    from millijoule.train.images import read_image
    from millijoule.train.look import look

    check_files(options, "out")
    take_own_data(options)
    model, data = _model_and_data(options, "look")
    name, label = options.image, None
    if options.image.isdecimal():
        number = int(options.image)
        if number >= len(data.x_test):
            raise OptionError(f"--image is {number}; '{data.name}' has test images 0 to {len(data.x_test) - 1}")
        image, name, label = data.x_test[number], f"test image {number}", int(data.y_test[number])
    else:
        image = read_image(Path(options.image), None)
    evaluation = evaluate(model, data.x_test, data.y_test, data.name, data.classes)
    seen = look(model, image, name, label, evaluation, data.x_test)
    write_look_page(seen, options.out)
    scores = {each: float(score) for each, score in zip(evaluation.classes, seen.scores, strict=False)}
    result = {"file": str(options.out), "image": name, "scores": scores, **evaluation.to_json()}
    show(options, result, [*tables.evaluation(evaluation), Text(f"Page: {options.out}")])


TRAIN = Command(
    "train", "train a network on labelled images, or a detector on images with boxes", _train, _train_options
)
EVALUATE = Command(
    "evaluate",
    "count how many test images a model gets right, or how well it finds boxes",
    _evaluate,
    _evaluate_options,
)
LOOK = Command("look", "a page of what a model sees: filters, maps, confusion, mistakes", _look, _look_options)
