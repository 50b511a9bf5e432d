"""Budgets of memory, time and energy, held against a model on a device: a gate for continuous integration."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from millijoule.cost import cost
from millijoule.cost.device import Device, load_device
from millijoule.deploy import deploy
from millijoule.energy.predict import predict_energy
from millijoule.energy.prediction import Estimate, Prediction
from millijoule.errors import DoesNotFit, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.report.check import Budget, Check, Verdict
from millijoule.report.check.result import compare, figures_of

MEMORY = ("ram", "flash")


def check(
    network: Graph | Model,
    device: Device | str,
    budgets: Sequence[Budget],
    *,
    nominal: bool = False,
    baseline: Mapping[str, Mapping[str, int]] | None = None,
    optimize: str = "speed",
) -> Check:
    """Hold each budget against what the network needs on the device.

    An int8 model on a microcontroller is built and executed once in an emulator: RAM (static data and stack) and flash
    are measured, latency and energy predicted from the instructions that were counted. Of other networks, and on other
    devices, only latency and energy are known. The upper end of a predicted range must meet the budget; with `nominal`
    the most likely value must. baseline: layer → figure → value, to compare the layers with. optimize: as of `deploy`.

    Raises OptionError if there is no budget, or one of memory where there is no firmware; ToolError if a compiler or
    emulator is missing; ModelError if the model cannot be emitted.
    """
    device = load_device(device) if isinstance(device, str) else device
    if not budgets:
        raise OptionError("check needs a budget: --max-ram, --max-flash, --max-energy or --max-latency")
    graph = network.graph if isinstance(network, Model) else network
    is_built = device.kind == "mcu" and isinstance(network, Model) and network.is_int8
    if not is_built and any(budget.quantity in MEMORY for budget in budgets):
        raise OptionError(
            f"RAM and flash of '{graph.name}' on '{device.name}' are not known: budgets of memory need an int8 model "
            "and a microcontroller"
        )
    needed: dict[str, float] = {}
    notes: dict[str, str] = {}
    prediction: Prediction | None = None
    layers: dict[str, dict[str, int]] = {}
    if is_built:
        assert isinstance(network, Model)
        try:
            with tempfile.TemporaryDirectory() as folder:
                made = deploy(network, device, folder=Path(folder) / "firmware", optimize=optimize, samples=1)
        except DoesNotFit as error:
            needed = {"ram": error.ram_bytes, "flash": error.flash_bytes}
            reason = f"it does not fit the device: {str(error).splitlines()[0]}"
            notes = dict.fromkeys(("energy", "latency"), reason)
            notes |= {name: reason for name in MEMORY if not needed[name]}
            needed = {name: size for name, size in needed.items() if size}
        else:
            values = made.to_json()
            needed = {"ram": values["ram_bytes"] + values["stack_bytes"], "flash": values["flash_bytes"]}
            prediction, layers = made.prediction, {each["name"]: figures_of(each) for each in values["layers"]}
    else:
        prediction = predict_energy(network, device)
    given = {each["name"]: figures_of(each) for each in cost(network).to_json()["layers"]}
    layers = layers or given
    verdicts = tuple(_verdict(budget, needed, notes, prediction, nominal) for budget in budgets)
    differences = None
    if baseline is not None:
        # What `cost` prints is of the model as it is given; firmware has fewer channels where some are constant.
        is_deployed = any("instructions" in figures for figures in baseline.values())
        differences = compare(baseline, layers if is_deployed else given)
    return Check(graph.name, device.name, verdicts, prediction, layers, differences)


def _verdict(
    budget: Budget,
    needed: Mapping[str, float],
    notes: Mapping[str, str],
    prediction: Prediction | None,
    nominal: bool,
) -> Verdict:
    quantity, limit = budget.quantity, budget.limit
    if quantity in MEMORY:
        return Verdict(quantity, limit, needed.get(quantity), note=notes.get(quantity, ""))
    estimate: Estimate | None = None
    if prediction:
        estimate = prediction.energy_mj if quantity == "energy" else prediction.latency_ms
        notes = dict(prediction.refused)
    if estimate is None or estimate.value is None or estimate.high is None:
        reason = notes.get(quantity) or "only a lower bound is known"
        return Verdict(quantity, limit, None, note=reason)
    return Verdict(quantity, limit, estimate.value if nominal else estimate.high, estimate.value)
