"""`train`, `evaluate`, `look`: networks that learn, and what they have learnt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cli.cluster import add_cluster
from millijoule.cli.command import NETWORK, Command, add_data, add_input, show
from millijoule.cli.trained import add_trained, load_trained
from millijoule.cli.training import add_recipe, add_settings, changes, load_data, new_config, train_in_folder
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.model import Model
    from millijoule.train import Dataset


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", nargs="?", metavar="NETWORK", help=NETWORK)
    add_input(parser)
    add_data(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: <network>-run)")
    parser.add_argument(
        "--resume", type=Path, metavar="FOLDER", help="go on with the training in this folder, as it was begun"
    )
    add_recipe(parser)
    parser.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    add_cluster(parser)
    add_settings(parser)


def _train(options: argparse.Namespace) -> None:
    from millijoule.train.run_folder import read_config

    if options.resume:
        given = options.network or options.data or options.out or options.shape or options.recipe != "auto"
        if given or changes(options):
            raise OptionError("--resume goes on as the training was begun: leave network, --data, --out, settings out")
        folder, config = options.resume, read_config(options.resume)
        data = load_data(config["source"], config["skip_bad"], config["settings"]["seed"])
    elif options.network is None or options.data is None:
        raise OptionError("train needs a network and --data: `millijoule train lenet5 --data digits`")
    else:
        data = load_data(options.data, options.skip_bad, options.seed or 0)
        config = new_config(options, data)
        folder = options.out or Path(f"{config['network']}-run")
    train_in_folder(options, folder, config, data)


def _model_and_data(options: argparse.Namespace, command: str) -> tuple[Model, Dataset]:
    data = load_data(options.data, options.skip_bad, 0) if options.data else None
    model = load_trained(options, data)
    if data is None:
        raise OptionError(f"{command} needs --data: labelled images, whose test images are counted")
    return model, data


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)


def _evaluate(options: argparse.Namespace) -> None:
    from millijoule.report.training import tables
    from millijoule.train import evaluate

    model, data = _model_and_data(options, "evaluate")
    evaluation = evaluate(model, data.x_test, data.y_test, data.name, data.classes)
    show(options, evaluation.to_json(), tables.evaluation(evaluation))


def _look_options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)
    parser.add_argument(
        "--image", default="0", metavar="IMAGE", help="what is shown to it: the number of a test image, or a file"
    )
    parser.add_argument("--out", type=Path, default=Path("look.html"), metavar="FILE", help="default: look.html")


def _look(options: argparse.Namespace) -> None:
    from rich.text import Text

    from millijoule.report.training import tables
    from millijoule.report.training.look_page import write_look_page
    from millijoule.train import evaluate
    from millijoule.train.images import read_image
    from millijoule.train.look import look

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


TRAIN = Command("train", "train a network on labelled images", _train, _train_options)
EVALUATE = Command("evaluate", "count how many test images a model gets right", _evaluate, _evaluate_options)
LOOK = Command("look", "a page of what a model sees: filters, maps, confusion, mistakes", _look, _look_options)
