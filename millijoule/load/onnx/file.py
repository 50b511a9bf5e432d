"""ONNX files: what they hold, checked, before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from millijoule.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

Fail = Callable[..., NoReturn]
"""Raises ModelError for (reason) or (reason, node)."""

OLDEST_OPSET = 7
CONTROL_FLOW = ("If", "Loop", "Scan")
LARGEST_DIMENSION = 2**31 - 1


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """file: what messages call it. inputs: (name, shape) of those that no initializer fills, batch included.

    nodes stand in an order in which they can be executed; constants are the initializers.
    """

    file: str
    model: ModelProto
    opset: int
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[str, ...]
    nodes: tuple[NodeProto, ...]
    constants: Mapping[str, np.ndarray]

    def fail(self, reason: str, node: NodeProto | None = None) -> NoReturn:
        raise ModelError(f"{self.file}: {f'{describe(node)}: ' if node is not None else ''}{reason}")


def describe(node: NodeProto) -> str:
    """`Conv 'layer1/conv'`: the operator and its name, or that of its output."""
    domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
    name = node.name or next((output for output in node.output if output), "")
    return f"{domain}{node.op_type} '{short(name)}'"


def short(name: str) -> str:
    """A name cut to what fits a message."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    return name if len(name) <= 60 else f"{name[:57]}..."


def read_onnx(data: bytes, path: Path, input_shape: Sequence[int] | None) -> OnnxFile:
    """The contents of an ONNX file; tensors in other files are read from the file's folder.

    input_shape: of the input, batch included, where the file leaves sizes open or other ones are wanted. Batches that
    are open are 1. Raises ModelError, in one line that names the file and, where there is one, the node.
    """
    import onnx
    from google.protobuf.message import DecodeError

    file = str(path)

    def fail(reason: str, node: NodeProto | None = None) -> NoReturn:
        raise ModelError(f"{file}: {f'{describe(node)}: ' if node is not None else ''}{reason}")

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        fail("cannot be read as ONNX: the file is truncated or corrupted, get it again")
    if not model.HasField("graph") or not model.graph.node:
        fail("holds no network: it is truncated, or no ONNX file")
    if not _is_text(model):
        fail("holds names that are no text: the file is corrupted, get it again")
    if not model.graph.output:
        fail("the graph has no outputs: export the model again")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx"))
    newest = onnx.defs.onnx_opset_version()
    if opset is None or not OLDEST_OPSET <= opset <= newest:
        found = "names no opset" if opset is None else f"is of opset {opset}"
        fail(f"{found}; {OLDEST_OPSET} to {newest} are supported: export the model with one of those")
    _load_external(model, path, fail)
    if model.functions:
        from onnx.inliner import inline_local_functions

        try:
            model = inline_local_functions(model)
        except (RuntimeError, ValueError, TypeError) as error:
            fail(f"its functions cannot be resolved: {_one_line(error)}")
    constants = {tensor.name: to_array(tensor, fail) for tensor in model.graph.initializer}
    if model.graph.sparse_initializer:
        fail(f"'{short(model.graph.sparse_initializer[0].values.name)}' is sparse: export the model with dense weights")
    inputs = tuple(entry for entry in model.graph.input if entry.name not in constants)
    if not inputs:
        fail("the graph has no input that is not a constant")
    if input_shape is not None and len(inputs) > 1:
        fail(f"has {len(inputs)} inputs; --shape gives the shape of a single one")
    shapes = tuple((entry.name, _input_shape(entry, input_shape, fail)) for entry in inputs)
    nodes = tuple(model.graph.node)
    _check_order(nodes, {*constants, *(name for name, _ in shapes)}, fail)
    outputs = tuple(entry.name for entry in model.graph.output)
    return OnnxFile(file, model, opset, shapes, outputs, nodes, constants)


def _is_text(model: ModelProto) -> bool:
    """Whether all names are UTF-8; protobuf leaves those that are not as bytes."""
    graph = model.graph
    texts = [
        entry.name for group in (graph.input, graph.output, graph.initializer, graph.value_info) for entry in group
    ]
    texts += [entry.domain for entry in model.opset_import]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    return all(isinstance(text, str) for text in texts)


def _load_external(model: ModelProto, path: Path, fail: Fail) -> None:
    from onnx.checker import ValidationError
    from onnx.external_data_helper import load_external_data_for_model

    try:
        load_external_data_for_model(model, str(path.parent))
    except (ValidationError, ValueError, OSError, KeyError) as error:
        fail(
            f"its external data cannot be read: {_one_line(error).rstrip('.')}; put the file that holds them beside it"
        )


def to_array(tensor: TensorProto, fail: Fail) -> np.ndarray:
    """The numbers of a tensor, at most as many as the file holds."""
    from onnx import TensorProto as types
    from onnx.numpy_helper import to_array as convert

    if any(size < 0 for size in tensor.dims):
        fail(f"tensor '{short(tensor.name)}' has shape {tuple(tensor.dims)}; sizes must be 0 or more")
    if tensor.data_type in (types.UNDEFINED, types.STRING):
        fail(f"tensor '{short(tensor.name)}' holds text or nothing; numbers are needed")
    try:
        return np.asarray(convert(tensor))
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        fail(f"tensor '{short(tensor.name)}' of shape {tuple(tensor.dims)} is damaged: {_one_line(error)}")


def _input_shape(entry: ValueInfoProto, given: Sequence[int] | None, fail: Fail) -> tuple[int, ...]:
    name = short(entry.name)
    kind = entry.type.tensor_type
    if not entry.type.HasField("tensor_type"):
        fail(f"input '{name}' is no tensor; only tensors are supported")
    sizes = [
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or None
        for dimension in kind.shape.dim
    ]
    example = "x".join(["1", *(str(size) if isinstance(size, int) else "224" for size in sizes[1:])]) or "1x3x224x224"
    if given is not None:
        if kind.HasField("shape") and len(given) != len(sizes):
            fail(f"input '{name}' has {len(sizes)} axes; --shape gives {len(given)}")
        shape = tuple(given)
    elif not kind.HasField("shape"):
        fail(f"input '{name}' has no shape: give one, as --shape 1x3x224x224")
    else:
        if len(sizes) > 1 and not isinstance(sizes[0], int):
            sizes[0] = 1
        if open_sizes := [size for size in sizes if not isinstance(size, int)]:
            names = ", ".join(f"'{size}'" if size else "one without a name" for size in open_sizes)
            fail(f"input '{name}' has dynamic axes ({names}): give its shape, as --shape {example}")
        shape = tuple(size for size in sizes if isinstance(size, int))
    if any(not 1 <= size <= LARGEST_DIMENSION for size in shape):
        fail(f"input '{name}' has shape {shape}; every size must be 1 or more")
    if len(shape) > 1 and shape[0] != 1:
        fail(f"input '{name}' has batch {shape[0]}: export the model with batch 1, or give --shape {example}")
    return shape


def _check_order(nodes: Sequence[NodeProto], known: set[str], fail: Fail) -> None:
    """Every node reads what comes before it, is no control flow, and gives what no other does."""
    made_later = {output for node in nodes for output in node.output if output}
    known = {*known, ""}
    for node in nodes:
        if node.op_type in CONTROL_FLOW and node.domain in ("", "ai.onnx"):
            fail("control flow is not supported: export the model with fixed branches and loops unrolled", node)
        for name in node.input:
            if name in known:
                continue
            if name in made_later:
                fail(f"reads '{short(name)}', which is computed later: the graph is cyclic or out of order", node)
            fail(f"reads '{short(name)}', which nothing computes: the file is corrupted", node)
        for name in node.output:
            if name and name in known:
                fail(f"computes '{short(name)}', which another node or input gives too: the file is corrupted", node)
            known.add(name)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
