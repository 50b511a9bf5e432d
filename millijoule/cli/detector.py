"""What commands do with detectors: their options, their training, what they find in test images."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millijoule.cli.command import graph_or_model, is_annotated, load_annotated, positive, show
from millijoule.cli.training import changes, recorder, run_training, show_training
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.cli.cluster import Job
    from millijoule.detect.data import DetectionSet
    from millijoule.detect.heads import Detector
    from millijoule.graph import Graph
    from millijoule.model import Model

STRUCTURE = ("backbone", "image", "strides", "anchors")


def add_structure(parser: argparse.ArgumentParser) -> Any:
    """The options that say what a detector is made of; their group."""
    group = parser.add_argument_group("detectors: ssdlite, centre")
    group.add_argument(
        "--backbone", metavar="NAME", help="a network of the zoo, or NAME-WIDTH (default: mobilenet_v2-0.35)"
    )
    group.add_argument(
        "--image", type=image_size, metavar="SIZE", help="of the input, as 160 or 192x256, height first (default: 160)"
    )
    group.add_argument(
        "--strides",
        type=_strides,
        metavar="N,N",
        help="pixels from one cell of a map to the next, each twice the one before (default: 8,16,32)",
    )
    group.add_argument(
        "--anchors", type=positive, metavar="N", help="of ssdlite: boxes in each cell of each map (default: 3)"
    )
    return group


def image_size(text: str) -> tuple[int, int]:
    """(height, width): 160 is 160x160."""
    height, cross, width = text.partition("x")
    return positive(height), positive(width if cross else height)


def _strides(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def is_detector(name: str | None) -> bool:
    """Whether `name` is one of the heads."""
    from millijoule.detect.heads import HEADS

    return name in HEADS


def check_classifier(options: argparse.Namespace) -> None:
    """OptionError for what is for detectors alone."""
    from millijoule.detect.training.settings import OWN

    for option in (*STRUCTURE, *OWN):
        if getattr(options, option) is not None:
            raise OptionError(
                f"--{option.replace('_', '-')} is for the detectors ssdlite and centre: leave it out for "
                f"'{options.network}'"
            )
    if is_annotated(options.data):
        raise OptionError(f"'{options.data}' has boxes, not labelled images: train a detector, ssdlite or centre")


def structure(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of a detector's structure."""
    given = {name: getattr(options, name, None) for name in STRUCTURE}
    return {name: value for name, value in given.items() if value is not None}


def build(name: str, arguments: Mapping[str, Any], **fitted: Any) -> Detector:
    """The detector of the head `name`. fitted: what its classes and anchors are made for. OptionError for --anchors of
    a head that has none.
    """
    from millijoule.detect.heads import HEADS

    if name == "centre" and "anchors" in arguments:
        raise OptionError("--anchors are of ssdlite; centre has one size, the median of the boxes: leave it out")
    return HEADS[name](**arguments, **fitted)


def counted_network(options: argparse.Namespace) -> Graph | Model:
    """The network that `cost` is to count: a detector of the structure that the options say, or any other."""
    arguments = structure(options) | ({"classes": options.classes} if options.classes else {})
    if not arguments:
        return graph_or_model(options)
    if not is_detector(options.model):
        (option, *_) = arguments
        raise OptionError(f"--{option} is for the detectors ssdlite and centre: leave it out for '{options.model}'")
    return build(options.model, arguments).graph


def new_detector_config(options: argparse.Namespace, data: DetectionSet) -> dict[str, Any]:
    """As `new_config`, with the structure, which was fitted to the boxes, and how its outputs become boxes."""
    from dataclasses import asdict

    from millijoule.detect.heads.detector import IMAGE
    from millijoule.detect.training import DetectorSettings, box_sizes, choose
    from millijoule.detect.training.detection import Detection
    from millijoule.train.structure import to_plain

    if options.shape:
        raise OptionError(f"the input of {options.network} is given by --image: leave --shape out")
    arguments = structure(options)
    sizes = box_sizes(data, arguments.get("image", IMAGE))
    detector = build(options.network, arguments, classes=len(data.classes), sizes=sizes)
    settings = choose(options.recipe, len(data.train), changes(options, DetectorSettings))
    return {
        "network": options.network,
        "arguments": arguments,
        **({"weights": str(options.weights)} if options.weights else {}),
        "graph": to_plain(detector.graph),
        "boxes": detector.boxes.to_json(),
        "score": Detection.score,
        "data": data.name,
        "source": options.data,
        "skip_bad": options.skip_bad,
        "recipe": options.recipe,
        "settings": asdict(settings),
    }


def train_detector_in_folder(
    options: argparse.Namespace, folder: Path, config: dict[str, Any], data: DetectionSet
) -> None:
    """Train the detector of a run's `config`, keep the record in `folder`, count the test images and print all."""
    from millijoule.detect.find import evaluate_detector
    from millijoule.report.detection import tables
    from millijoule.report.detection.findings import Findings
    from millijoule.report.detection.run_page import counted
    from millijoule.report.training.run_page import write_run_page
    from millijoule.train import load_run

    notes = run_training(options, folder, config, data, detector_job)
    if notes is None:
        return
    model = load_run(folder)
    found, evaluation = evaluate_detector(model, data.test)
    assert model.boxes
    seen = Findings(model.graph.name, data.name, data.test, found, evaluation, model.boxes.threshold)
    write_run_page(folder, counted(seen))
    known = {"model": model.graph.name, "data": data.name, **evaluation.to_json()}
    show_training(options, folder, config, (*data.notes, *notes), known, tables.counted(evaluation))


def detector_job(job: Job, data: DetectionSet | None = None) -> tuple[str, ...]:
    """What each process of a training does; returns the notes. data: the job's, if it has been loaded."""
    from millijoule.boxes import BoxCoding
    from millijoule.detect.heads import Detector
    from millijoule.detect.training import train_detector
    from millijoule.detect.training.settings import OF_CLASSIFIERS
    from millijoule.train import load_run
    from millijoule.train.run_folder import graph_of
    from millijoule.train.transfer import taken_over

    config, start = job.config, None
    data = data or load_annotated(config["source"], config["skip_bad"], config["settings"]["seed"])
    detector = Detector(graph_of(config), BoxCoding.from_json(config["boxes"]))
    if backbone := config.get("weights"):
        start = taken_over(load_run(backbone), detector.graph, backbone, part=True)
    model = train_detector(
        detector,
        data,
        recipe=config["recipe"],
        checkpoint=job.folder,
        on_epoch=recorder(job),
        start=start,
        **{name: value for name, value in config["settings"].items() if name not in OF_CLASSIFIERS},
    )
    return model.notes


def evaluate_on_boxes(options: argparse.Namespace, model: Model) -> None:
    """`evaluate` of a detector."""
    from millijoule.detect.find import evaluate_detector
    from millijoule.report.detection import tables

    data = load_annotated(options.data, options.skip_bad, options.seed, model.labels)
    _, evaluation = evaluate_detector(model, data.test)
    value = {"model": model.graph.name, "data": data.name, **evaluation.to_json()}
    show(options, value, tables.evaluation(model.graph.name, data.name, evaluation))
