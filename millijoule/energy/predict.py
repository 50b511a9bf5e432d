"""Latency and energy of one inference on any device."""

from __future__ import annotations

from millijoule.cost import Cost, cost
from millijoule.cost.device import Device, load_device
from millijoule.energy import mcu, roofline
from millijoule.energy.fitted.instructions import estimate_instructions, layers_of, windowed_share
from millijoule.energy.hierarchy import array, row_stationary, table
from millijoule.energy.prediction import Prediction
from millijoule.errors import DeviceError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes import deployed
from millijoule.plan import Plan, plan
from millijoule.plan.streaming import StreamPlan


def predict_energy(
    network: Graph | Model,
    device: Device | str,
    *,
    instructions: int | None = None,
    core_cycles: int | None = None,
    precision: str | None = None,
    stack: str | None = None,
    planned: Plan | StreamPlan | None = None,
) -> Prediction:
    """What an inference of a network takes on a device, with the range that 90 % of such predictions held.

    instructions: of our firmware on a microcontroller, as `deploy` counts them in an emulator; without them they are
    estimated from shapes in a few milliseconds, and the range is wider. core_cycles: of the same inference, by kinds of
    instructions (millijoule.cost.core_cycles). precision: `int8` or `fp32`. Default: int8 for an int8 model and on
    microcontrollers, else fp32. stack: in place of our firmware on a microcontroller, one that was submitted to MLPerf
    Tiny, as `X-CUBE-AI 9.0`. planned: where values lie, and so what a table of energies moves at each level of memory;
    None: layer by layer. It must be of the network as it is deployed: `plan(simplify(graph))`.

    The prediction says what it refuses. Raises DeviceError if the device is not known, or is this computer, OptionError
    if the stack is not known, the device is no microcontroller, the precision is none of these, or a plan is of no use.
    """
    device = load_device(device) if isinstance(device, str) else device
    if device.kind == "host":
        raise DeviceError("device 'host' is this computer: nothing is predicted for it")
    is_int8 = isinstance(network, Model) and network.is_int8
    if precision not in (None, "int8", "fp32"):
        raise OptionError(f"precision is '{precision}'; it must be int8 or fp32")
    precision = precision or ("int8" if is_int8 or device.kind == "mcu" else "fp32")
    is_array = row_stationary.FIGURES[0] in device.figures
    if stack and device.kind != "mcu":
        raise OptionError(f"device '{device.name}' is no microcontroller: leave the stack '{stack}' out")
    if planned and (is_array or device.kind != "hierarchy"):
        raise OptionError(f"what is predicted on '{device.name}' does not depend on a plan: leave it out")
    graph, counted = deployed(network), cost(network, table.NUMBERS[precision])
    if counted.at_least:
        reason = f"it has layers of operators that are not known: {counted.named_not_counted}"
        return Prediction(graph.name, device.name, None, None, refused=(("latency", reason), ("energy", reason)))
    if device.kind == "mcu":
        return _on_mcu(graph, device, instructions, core_cycles, stack)
    if device.kind == "roofline":
        return roofline.predict(counted, device, precision)
    if is_array:
        return array.predict(graph, cost(graph), device)
    return table.predict(graph, planned or plan(graph), cost(graph, table.NUMBERS[precision]), device, precision)


def _on_mcu(
    graph: Graph, device: Device, instructions: int | None, core_cycles: int | None, stack: str | None
) -> Prediction:
    weights, mix = dense_weights(cost(graph, 1)), windowed_share(layers_of(graph))
    if instructions is not None:
        return mcu.predict(graph.name, device, mcu.Work(instructions, 1.0, weights, core_cycles, mix), stack)
    try:
        estimated, factor = estimate_instructions(graph, device.core)
    except DeviceError as error:
        # What executing it would not help with is said at once.
        power = mcu.power_mw(device, stack)
        energy = power if isinstance(power, str) else str(error)
        refused = (("latency", str(error)), ("energy", energy))
        return Prediction(graph.name, device.name, None, None, refused=refused)
    return mcu.predict(graph.name, device, mcu.Work(estimated, factor, weights, mix=mix), stack)


def dense_weights(counted: Cost) -> int:
    """Weights of dense layers: each is read once for each inference."""
    return counted.macs_by_family["dense"]
