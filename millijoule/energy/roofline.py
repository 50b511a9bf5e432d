"""Computers: time and energy as they were measured on the same system, or no more than a bound from its ceilings.

A board on which many networks were measured is a sum of terms (energy/fitted/linux.py). A board of which the user has
readings is what such boards take, scaled by the readings. Of other computers only peak arithmetic and memory bandwidth
are known: an inference takes at least as long as the slower of both, and nothing published says how much longer.
"""

from __future__ import annotations

from functools import lru_cache

from millijoule.cost import Cost
from millijoule.cost.device import Device, Reading
from millijoule.energy.fitted import linux, questions
from millijoule.energy.fitted.intervals import spread
from millijoule.energy.prediction import Estimate, Prediction, within
from millijoule.errors import DeviceError

PEAKS = {"int8": "int8_ops_per_s", "fp32": "fp32_flops_per_s"}
OUTSIDE = (
    "so far from what was fitted, ranges that should hold 90 % hold half; a reading of a network like it "
    "(`millijoule fit`) helps"
)
UNTESTED = "the range is that of MobileNets on Arm boards; nothing tests it for other networks or kinds of computer"


def terms_of(cost: Cost) -> linux.Terms:
    """What the prediction needs to know of a network."""
    layers = [layer for layer in cost.layers if layer.macs]
    outputs = sum(layer.neurons for layer in layers if layer.family == "convolution")
    return linux.Terms(macs=cost.macs, outputs=outputs, params=cost.params, layers=len(layers))


def predict(cost: Cost, device: Device, precision: str) -> Prediction:
    """Latency and energy of one image. precision: `int8` or `fp32`."""
    network = terms_of(cost)
    if device.system:
        return _as_measured(cost.name, device, precision, network)
    if device.readings:
        return by_readings(cost.name, device, precision, network)
    return _bound(cost, device, precision)


def _as_measured(name: str, device: Device, precision: str, network: linux.Terms) -> Prediction:
    round, _, system = device.system.partition(" ")
    runs = linux.groups().get((round, system, precision))
    if runs is None:
        raise DeviceError(f"device '{device.name}': system '{device.system}' is none that was published in {precision}")
    if outside := linux.outside([linux.terms(run) for run in runs], network):
        return _refused(name, device, outside)
    latency, energy = (
        within(linux.evaluate(linux.fit(runs, quantity), network), _spread(quantity))
        for quantity in (linux.LATENCY, linux.ENERGY)
    )
    text = f"{len(runs)} MobileNets that were measured on this system in {precision} (MLPerf Inference {round}, edge)"
    return Prediction(name, device.name, latency, energy, rests_on=(text,), assumptions=device.notes)


def terms_of_reading(reading: Reading) -> linux.Terms:
    """The network that was measured."""
    return linux.Terms(reading.macs, reading.outputs, reading.params, reading.layers)


def by_readings(name: str, device: Device, precision: str, network: linux.Terms) -> Prediction:
    """Of a board that the user measured networks on."""
    groups = {key: runs for key, runs in linux.groups().items() if key[2] == precision}
    published = [linux.terms(run) for runs in groups.values() for run in runs]
    read = [terms_of_reading(each) for each in device.readings]
    # A board whose ceilings are stated is none of those that were published.
    is_tested = not device.figures and not any(linux.outside(published, each) for each in (network, *read))
    if outside := linux.outside([*published, *read], network):
        return _refused(name, device, outside)

    def estimate(quantity: linux.Quantity) -> Estimate | None:
        readings = [
            (terms_of_reading(each), value)
            for each in device.readings
            if (value := getattr(each, quantity)) is not None
        ]
        if not readings:
            return None
        known = [linux.fit(runs, quantity) for runs in groups.values()]
        factor = spread(questions.linux_new_board(quantity, questions.READ[-min(2, len(readings)) :]))
        return within(linux.tilted(known, readings, network), factor)

    energy = estimate(linux.ENERGY)
    count = len(device.readings)
    read_here = f"{count} reading{'s' if count > 1 else ''} on it ({device.sources['reading']})"
    text = f"{read_here}, and {len(groups)} other systems in {precision}"
    refused = () if energy else (("energy", "no reading of this board has an energy"),)
    return Prediction(
        name,
        device.name,
        estimate(linux.LATENCY),
        energy,
        rests_on=(text,),
        assumptions=() if is_tested else (UNTESTED,),
        refused=refused,
        tested=is_tested,
    )


def _refused(name: str, device: Device, outside: str) -> Prediction:
    reason = f"{outside}; {OUTSIDE}"
    return Prediction(name, device.name, None, None, refused=(("latency", reason), ("energy", reason)))


@lru_cache
def _spread(quantity: linux.Quantity) -> float:
    return spread(questions.linux_network(quantity, whole_width=True))


def _bound(cost: Cost, device: Device, precision: str) -> Prediction:
    refused = (("energy", "none of it is published by network; `millijoule fit` takes readings of yours"),)
    peak, bandwidth = device.figures.get(PEAKS[precision]), device.figures.get("memory_bytes_per_s")
    if peak is None or bandwidth is None:
        reason = f"device '{device.name}' states no peak for {precision}"
        return Prediction(cost.name, device.name, None, None, refused=(("latency", reason), *refused))
    seconds = max(cost.flops / peak, cost.size_bytes / bandwidth)
    text = "the slower of peak arithmetic and reading the weights once, one image at a time: a bound, not a prediction"
    return Prediction(
        cost.name,
        device.name,
        Estimate(None, seconds * 1000, None),
        None,
        rests_on=(text,),
        assumptions=device.notes,
        refused=refused,
        tested=False,
    )
