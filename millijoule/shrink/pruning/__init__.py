"""Structured pruning: whole channels go, until a budget is met."""

from __future__ import annotations

from millijoule.cost.device import Device, load_device
from millijoule.errors import ModelError, OptionError
from millijoule.model import Model
from millijoule.shrink.pruning.budget import Budget, Energy, Macs, Ram
from millijoule.shrink.pruning.channels import find_channels
from millijoule.shrink.pruning.importance import importance, relative
from millijoule.shrink.pruning.narrow import narrow
from millijoule.shrink.pruning.search import choose_channels
from millijoule.train import Dataset, prepare
from millijoule.train.data import spread
from millijoule.train.loop import check_classes, choose
from millijoule.train.loss import make_loss

__all__ = ["prune"]

SAMPLES = 1024
MULTIPLE = 4


def prune(
    model: Model,
    dataset: Dataset,
    *,
    macs: float | None = None,
    ram_bytes: int | None = None,
    energy_mj: float | None = None,
    device: Device | str | None = None,
    multiple: int = MULTIPLE,
    samples: int = SAMPLES,
) -> Model:
    """A trained float model without the channels that matter least, within a budget; to be trained further.

    macs: MACs of one inference, as a share of what they are up to 1, else their number. ram_bytes: the arena of the
        int8 network executed layer by layer, as `plan` has it of a graph, without working memory of kernels.
        energy_mj: of an inference of the int8 network on `device`, as predicted from shapes; its range is wide. One of
        the three.
    multiple: widths stay multiples of it; kernels compute so many channels at once.
    samples: training images on which importance is measured.

    Which channels hang together is found from the graph; how much they matter is first-order Taylor expansion of the
    loss (Molchanov et al. 2019), within their layer; what they bring is counted on the narrowed graph. See
    `find_channels`, `importance`, `relative`, `choose_channels`.

    Raises OptionError for no budget or several, or one below the least possible; DeviceError if nothing is predicted
    for the device; ModelError for an int8 model, or a network that is no classifier of the dataset's classes.
    """
    if model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is int8: prune the float model, and quantize it afterwards")
    if multiple < 1:
        raise OptionError(f"multiple is {multiple}; it must be 1 or more")
    check_classes(model.graph, dataset)
    budget = _budget(model, macs, ram_bytes, energy_mj, device)
    channels = find_channels(model.graph)
    loss = make_loss(model.graph, choose("auto", len(dataset.x_train), 0, {}), dataset.y_train)
    chosen = spread(samples, len(dataset.x_train))
    inputs = prepare(dataset.x_train[chosen], model.graph.inputs[0].shape, model.preprocess)
    matters = relative(importance(model, channels, loss, inputs, dataset.y_train[chosen]), channels)
    return narrow(model, channels, choose_channels(model.graph, channels, matters, budget, multiple))


def _budget(
    model: Model, macs: float | None, ram_bytes: int | None, energy_mj: float | None, device: Device | str | None
) -> Budget:
    if sum(each is not None for each in (macs, ram_bytes, energy_mj)) != 1:
        raise OptionError("pruning needs one budget: MACs, bytes of RAM, or millijoules on a device")
    if (energy_mj is None) != (device is None):
        raise OptionError("energy is that of a device: give both, or neither")
    if macs is not None:
        return Macs(macs * Macs(0).cost(model.graph) if macs <= 1 else macs)
    if ram_bytes is not None:
        return Ram(ram_bytes)
    assert energy_mj is not None
    assert device is not None
    return Energy(energy_mj, load_device(device) if isinstance(device, str) else device)
