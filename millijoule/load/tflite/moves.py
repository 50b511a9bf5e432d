"""TFLite's operators that pad, cut, join and move values."""

from __future__ import annotations

from millijoule.graph import Shape
from millijoule.load.tflite.layers import activation_of
from millijoule.load.tflite.network import INTEGER_TYPES, Network
from millijoule.ops import Concat, DepthToSpace, Pad, Reshape, Resize2d, Slice, SpaceToDepth, Transpose
from millijoule.ops.resize import Align, ResizeMode


def pad(network: Network) -> None:
    """Zeros around height and width, or around channels."""
    network.input_count(2, 2)
    _pad_by(network)


def padv2(network: Network) -> None:
    """As PAD, if the given number stands for zero."""
    network.input_count(3, 3)
    number = network.constant(2, "float32", *INTEGER_TYPES).reshape(-1)
    quantization = network.value_quantization(network.output)
    tensor = network.tensor(2)
    zero = 0 if quantization is None else quantization.zero_point + (128 if tensor.type == "uint8" else 0)
    if number.size != 1 or number[0] != zero:
        network.unknown(f"pads with {number[:1].tolist()}; only {zero}, which stands for zero, is supported")
    _pad_by(network)


def _pad_by(network: Network) -> None:
    sizes = network.constant(1, "int32", "int64")
    if sizes.shape != (4, 2) or sizes[0].any() or (sizes[1:3].any() and sizes[3].any()):
        network.unknown("does not pad height and width alone, or channels alone, which is all that is supported")
    (_, height, width, channels) = [(int(before), int(after)) for before, after in sizes]
    network.add(network.make(Pad, padding=(height, width), channels=channels), network.value())


def concatenation(network: Network) -> None:
    """Of computed values along the channels."""
    network.input_count(1)
    network.check_options(10)
    if activation_of(network, field=1) != "none":
        network.unknown("has a fused activation; make it an operator of its own")
    rank, axis = len(network.tensor(0).shape), network.option(0, "i")
    if axis % max(rank, 1) != rank - 1 or not -rank <= axis < rank:
        network.unknown(f"is along axis {axis} of {rank}; only along the last, the channels")
    values = [network.value(slot) for slot in range(len(network.operation.inputs))]
    if len(values) == 1:
        network.alias(values[0])
    else:
        network.add(Concat(), *values)


def transpose(network: Network) -> None:
    """Of all axes but the batch; of the channels as a matrix, between two reshapes, it is a channel shuffle."""
    network.input_count(2, 2)
    network.check_options(26)
    rank = len(network.tensor(0).shape)
    order = network.constant(1, "int32").reshape(-1).tolist()
    if rank < 2 or sorted(order) != list(range(rank)) or order[0] != 0:
        network.unknown(f"puts {rank} axes into the order {order}; each of them once is needed, the batch first")
    if order == sorted(order):
        network.alias(network.value())
    else:
        network.add(Transpose(order=tuple(axis - 1 for axis in order[1:])), network.value())


def shuffled_groups(network: Network, target: Shape) -> int | None:
    """If the last two nodes, with a reshape to `target` behind them, shuffle channels: in how many groups they lie."""
    if len(network.nodes) < 2 or network.value() != network.nodes[-1].name:
        return None
    split, turn = network.nodes[-2:]
    if not isinstance(split.op, Reshape) or not isinstance(turn.op, Transpose) or turn.inputs != (split.name,):
        return None
    matrix = split.op.target
    *kept, rows, columns = range(len(matrix))
    is_turned = turn.op.order == (*kept, columns, rows) and target[-1] == matrix[-2] * matrix[-1]
    if not is_turned or network.shapes[split.inputs[0]] != target or not all(map(network.is_read_once, (split, turn))):
        return None
    return matrix[-2]


def slice_(network: Network) -> None:
    """Of any part; the batch stays whole."""
    network.input_count(3, 3)
    network.check_options(48)
    shape = network.shapes[network.value()]
    begin, size = (network.constant(slot, "int32", "int64").reshape(-1).tolist() for slot in (1, 2))
    if len(begin) != len(shape) + 1 or len(size) != len(begin) or begin[0] != 0 or size[0] not in (-1, 1):
        network.unknown(f"takes {size} from {begin} on; the batch must stay whole, and {len(shape)} axes be named")
    axes = zip(shape, begin[1:], size[1:], strict=True)
    sizes = [length - first if count == -1 else count for length, first, count in axes]
    _slice(network, begin[1:], sizes, [1] * len(shape))


def strided_slice(network: Network) -> None:
    """Of any part, with steps forward; an axis of one number may be dropped; the batch stays whole."""
    network.input_count(4, 4)
    network.check_options(32)
    shape = network.shapes[network.value()]
    bounds = [network.constant(slot, "int32").reshape(-1).tolist() for slot in (1, 2, 3)]
    masks = {name: network.option(field, "i") for field, name in enumerate(("begin", "end", "ellipsis", "new", "drop"))}
    if any(len(bound) != len(shape) + 1 for bound in bounds) or masks["ellipsis"] or masks["new"]:
        network.unknown(f"does not name each of {len(shape) + 1} axes; ellipses and new axes are not supported")
    begins, sizes, steps = [], [], []
    for axis, (first, last, step, length) in enumerate(zip(*bounds, (1, *shape), strict=True)):
        if step < 1:
            network.unknown(f"takes steps of {step}; steps forward are supported")
        begin = 0 if masks["begin"] >> axis & 1 else _inside(first, length)
        end = length if masks["end"] >> axis & 1 else _inside(last, length)
        if masks["drop"] >> axis & 1:
            end = begin + 1
        begins.append(begin)
        sizes.append(-(-(end - begin) // step))
        steps.append(step)
    if sizes[0] != 1 or masks["drop"] & 1:
        network.unknown("cuts the batch, which must stay whole")
    _slice(network, begins[1:], sizes[1:], steps[1:])


def _inside(position: int, length: int) -> int:
    """Positions below 0 count from the end; those outside are the ends."""
    return min(max(position + length if position < 0 else position, 0), length)


def _slice(network: Network, begin: list[int], size: list[int], step: list[int]) -> None:
    if any(count < 1 for count in size):
        network.fail(f"takes {size} numbers from {begin} on: nothing is left")
    steps = None if set(step) == {1} else tuple(step)
    op = network.make(Slice, begin=tuple(begin), size=tuple(size), step=steps)
    network.add(op, network.value())


def depth_to_space(network: Network) -> None:
    """Of any block."""
    network.input_count(1, 1)
    network.check_options(94)
    network.add(network.make(DepthToSpace, block=network.option(0, "i")), network.value())


def space_to_depth(network: Network) -> None:
    """Of any block."""
    network.input_count(1, 1)
    network.check_options(19)
    network.add(network.make(SpaceToDepth, block=network.option(0, "i")), network.value())


def resize_nearest_neighbor(network: Network) -> None:
    """To any size, with half-pixel centres, aligned corners or neither."""
    network.check_options(74)
    _resize(network, "nearest", fields=(0, 1))


def resize_bilinear(network: Network) -> None:
    """To any size, with half-pixel centres, aligned corners or neither."""
    network.check_options(15)
    _resize(network, "bilinear", fields=(2, 3))


def _resize(network: Network, mode: ResizeMode, fields: tuple[int, int]) -> None:
    network.input_count(2, 2)
    corners, half_pixel = (bool(network.option(field, "B")) for field in fields)
    if corners and half_pixel:
        network.fail("aligns corners and centres pixels at once, which TFLite refuses too")
    size = network.constant(1, "int32").reshape(-1).tolist()
    if len(size) != 2:
        network.fail(f"has sizes {size}; height and width are needed")
    align: Align = "corners" if corners else "half_pixel" if half_pixel else "asymmetric"
    network.add(network.make(Resize2d, size=tuple(size), mode=mode, align=align), network.value())
