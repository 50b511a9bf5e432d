"""Short, readable, unique names for nodes, from the names that TensorFlow gave to tensors.

A tensor of a converted model is named after all operations that were fused into it, as
`model/activation_1/Relu;model/batch_normalization_1/FusedBatchNormV3;model/conv2d_1/Conv2D`; the node is `conv2d_1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAXIMUM_LENGTH = 40

# What TensorFlow calls the operation of a layer: the layer's name stands before it.
_OPERATIONS = {
    "ADD": ("add", "Add", "AddV2"),
    "AVERAGE_POOL_2D": ("AvgPool",),
    "CONCATENATION": ("concat", "ConcatV2"),
    "CONV_2D": ("Conv2D",),
    "DEPTHWISE_CONV_2D": ("depthwise", "DepthwiseConv2dNative"),
    "FULLY_CONNECTED": ("MatMul",),
    "MAX_POOL_2D": ("MaxPool",),
    "MEAN": ("Mean",),
    "MUL": ("mul", "Mul"),
    "RESHAPE": ("Reshape",),
    "SOFTMAX": ("Softmax",),
}
_SUFFIXES = {
    "AvgPool", "BiasAdd", "Conv2D", "FusedBatchNorm", "FusedBatchNormV3", "Identity", "MatMul", "MaxPool", "Mean",
    "Pad", "ReadVariableOp", "Relu", "Relu6", "Reshape", "Sigmoid", "Softmax", "Tanh", "resource",
}  # fmt: skip
_MEANINGLESS = re.compile(r"(StatefulPartitionedCall|PartitionedCall|Identity)(_?\d+)?(:\d+)?(_int8)?\d*")


def layer_path(code: str, output: str, weight: str = "") -> tuple[str, ...]:
    """The scopes and the name of the layer that an operator belongs to; empty if its tensors do not tell.

    output, weight: names of its tensors. The weight's is looked at first: converters share equal biases, so that an
    output can carry the name of another layer.
    """
    for part in (*weight.split(";"), *output.split(";")):
        *scopes, last = _components(part) or ("",)
        if scopes and {last, _bare(last)} & set(_OPERATIONS.get(code, ())):
            return tuple(scopes)
    path = _components(output.split(";")[0])
    while len(path) > 1 and {path[-1], _bare(path[-1])} & _SUFFIXES:
        path = path[:-1]
    return path


def _components(part: str) -> tuple[str, ...]:
    return tuple(text for text in part.split("/") if text and not _MEANINGLESS.fullmatch(text))


def _bare(component: str) -> str:
    """Without what converters append: `Conv2D1`, `Conv2D_Fold`, `Relu6:0`."""
    return re.sub(r"(_Fold|_?\d+)?(:\d+)?$", "", component)


def node_names(paths: Sequence[tuple[str, ...]], codes: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """One name for each layer path: scopes that more than half of the layers share are left out; [a-z0-9_], unique.

    codes: the operators, which name what has no path. taken: names that are used already.
    """
    shortened = list(paths)
    while True:
        scopes = [path[0] for path in shortened if len(path) > 1]
        shared = max(set(scopes), key=scopes.count, default="")
        if not shared or 2 * scopes.count(shared) <= len(shortened):
            break
        shortened = [path[1:] if len(path) > 1 and path[0] == shared else path for path in shortened]
    used = set(taken)
    names = []
    for path, code in zip(shortened, codes, strict=True):
        text = identifier("_".join(path)).lower().strip("_")[-MAXIMUM_LENGTH:].strip("_") or code.lower()
        if text[0].isdigit():
            text = f"{code.lower()}_{text}"
        names.append(unique(text, used))
    return names


def unique(name: str, used: set[str]) -> str:
    """`name`, or `name_2`, `name_3`, … if it is used; added to `used`."""
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate


def identifier(text: str) -> str:
    """`text` with everything but letters, digits and _ turned into one _."""
    return re.sub(r"_*[^0-9A-Za-z_]+_*", "_", text)
