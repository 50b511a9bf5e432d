"""A model that is too large for a device: by how much, which layers hold it, and what would make it fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millijoule.cost import cost
from millijoule.cost.device import Device, list_devices, memories, slow_memory
from millijoule.errors import DoesNotFit, ModelError
from millijoule.graph import Graph, Input
from millijoule.model import Model
from millijoule.plan import Plan
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.placement import greedy_orders, place_in_order, total_bytes
from millijoule.plan.streaming import StreamPlan

STACK_RESERVE_BYTES = 2048
"""RAM that must remain for the stack beside all static data."""
STATIC_ALIGNMENT = 8
"""Static data end at a multiple of it, for the stack begins there."""
CODE_RESERVE_BYTES = 32 * 1024
"""Flash that a device must have beside the weights to be named as one that fits, while the code is not compiled."""
NAMES_SHOWN = 3


def check_memories(device: Device, flash_bytes: int, ram_bytes: int, least: str = "") -> None:
    """Raises DoesNotFit if a device lacks flash, or RAM with the stack's reserve beside `ram_bytes` of static data.

    least: ` at least` where the code is not counted yet.
    """
    flash, ram = memories(device)
    needs = (
        ("flash", flash, flash_bytes, ""),
        ("RAM", ram, ram_bytes + STACK_RESERVE_BYTES, f" with {STACK_RESERVE_BYTES:,} bytes of stack"),
    )
    lacks = [
        f"{need:,} bytes of {memory}{stack}; device '{device.name}' has {region.bytes:,} ({region.name}): "
        f"{need - region.bytes:,} too many"
        for memory, region, need, stack in needs
        if need > region.bytes
    ]
    if lacks:
        raise DoesNotFit(
            f"the firmware needs{least} {'; and '.join(lacks)}",
            flash_bytes=flash_bytes,
            ram_bytes=ram_bytes + STACK_RESERVE_BYTES,
        )


def fast_bytes(plan: Plan | StreamPlan) -> int:
    """Of the arena, what lies in the device's RAM: all but what was planned for a second memory."""
    return plan.fast_bytes if isinstance(plan, StreamPlan) else plan.arena_bytes


def check_two_memories(device: Device, fast: int, slow: int) -> None:
    """Raises DeviceError if a device has no second memory, DoesNotFit if one of the two has not so many bytes, the
    stack in the first. A computer has memory enough."""
    if device.ram is None:
        return
    needs = (
        (slow_memory(device), slow, f"{slow:,} bytes"),
        (device.ram, fast + STACK_RESERVE_BYTES, f"{fast:,} bytes, beside {STACK_RESERVE_BYTES:,} of stack,"),
    )
    for region, need, what in needs:
        if need > region.bytes:
            raise DoesNotFit(
                f"--ram asks for {what} in {region.name}; device '{device.name}' has {region.bytes:,} there: "
                f"{need - region.bytes:,} too many"
            )


def fits_ram(plan: Plan | StreamPlan, device: Device) -> bool:
    """Whether the arena and the stack's reserve fit; a computer has memory enough."""
    static_bytes = -(-fast_bytes(plan) // STATIC_ALIGNMENT) * STATIC_ALIGNMENT
    return device.ram is None or static_bytes + STACK_RESERVE_BYTES <= device.ram.bytes


def check_before_compiling(network: Model | Graph, plan: Plan | StreamPlan, device: Device) -> None:
    """Raises DoesNotFit, explained, if int8 weights alone exceed the flash, or arena and stack the RAM.

    network: an int8 model, or the simplified graph of one.
    """
    weights = cost(network, bytes_per_weight=1).size_bytes
    try:
        check_memories(device, weights, fast_bytes(plan), least=" at least")
    except DoesNotFit as error:
        whole = DoesNotFit(str(error), flash_bytes=weights + CODE_RESERVE_BYTES, ram_bytes=error.ram_bytes)
        raise explained(whole, network, plan, device) from None


def explained(error: DoesNotFit, network: Model | Graph, plan: Plan | StreamPlan, device: Device) -> DoesNotFit:
    """The error with a line for what holds the memory and one for what would make the model fit."""
    flash, ram = memories(device)
    graph = network.graph if isinstance(network, Model) else network
    lines = [str(error)]
    ways = []
    if error.ram_bytes > ram.bytes and isinstance(plan, StreamPlan):
        layers = sum(map(len, plan.segments))
        lines.append(
            f"hint: the arena of {plan.arena_bytes:,} bytes is the least that is known: {plan.streamed_steps} of "
            f"{layers} layers are executed row by row"
        )
    elif error.ram_bytes > ram.bytes and isinstance(plan, Plan):
        step = plan.live_bytes.index(max(plan.live_bytes))
        lines.append(f"hint: most RAM is live in layer '{plan.steps[step]}': {plan.live_bytes[step]:,} bytes")
        free = ram.bytes - (error.ram_bytes - plan.arena_bytes)
        if smaller := largest_input(graph, plan, free):
            given = graph.inputs[0].shape
            ways.append(f"trained with an input of {_times(smaller)} instead of {_times(given)}, it fits the RAM")
    if error.flash_bytes > flash.bytes:
        lines.append(f"hint: most flash is held by the weights of {_heaviest(network)}")
        targets = plan.targets.values() if isinstance(plan, StreamPlan) else (plan.target,)
        if any(target.wide_weights for target in targets):
            ways.append("without --flash-for-speed, its weights take half the flash")
    fitting = [
        other.name
        for other in sorted(list_devices(), key=_size)
        if other.flash and other.ram and other.flash.bytes >= error.flash_bytes and other.ram.bytes >= error.ram_bytes
    ]
    if fitting:
        ways.insert(0, f"it fits {', '.join(fitting[:NAMES_SHOWN])}")
    lines.append(
        f"hint: {'; '.join(ways)}" if ways else "hint: it fits no microcontroller that is known, only the host"
    )
    return DoesNotFit("\n".join(lines), error.flash_bytes, error.ram_bytes)


def largest_input(graph: Graph, plan: Plan, arena_bytes: int) -> tuple[int, int, int] | None:
    """The largest (height, width, channels) of the same aspect whose arena has at most `arena_bytes`; None: none has.

    The layers stay as they are; dense layers behind a Flatten take fewer features.
    """
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 3:
        return None
    height, width, channels = graph.inputs[0].shape
    working = max((buffer.bytes for buffer in plan.buffers if buffer.name.endswith(".scratch")), default=0)
    best, low, high = None, 1, height
    while low < high:
        middle = (low + high) // 2
        shape = middle, max(1, round(width * middle / height)), channels
        try:
            smaller = replace(graph, inputs=(Input(graph.inputs[0].name, shape),))
        except ModelError:  # a window no longer fits, or a layer is bound to its size
            low = middle + 1
            continue
        if _arena_bytes(smaller) + working <= arena_bytes:
            best, low = shape, middle + 1
        else:
            high = middle
    return best


def _arena_bytes(graph: Graph) -> int:
    """Of the best greedy placement, which is never smaller than the planner's."""
    items = [(memory.first, memory.last, memory.bytes) for memory in lifetimes(graph)]
    return min(total_bytes(items, place_in_order(items, order, 4)) for order in greedy_orders(items))


def _heaviest(network: Model | Graph) -> str:
    layers = sorted(cost(network, bytes_per_weight=1).layers, key=lambda layer: -layer.size_bytes)
    return ", ".join(
        f"'{layer.name}' ({layer.size_bytes:,} bytes)" for layer in layers[:NAMES_SHOWN] if layer.size_bytes
    )


def _size(device: Device) -> tuple[int, int]:
    return (device.ram.bytes, device.flash.bytes) if device.ram and device.flash else (0, 0)


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
