"""Programs that torch.export makes, walked call by call."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.channels_first import Value
from millijoule.load.torch.network import Known, TorchNetwork, Unknown, operator_of
from millijoule.load.torch.operators import SUPPORTED
from millijoule.model import Model

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

CREATORS = ("empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like")
"""Operators that read a value for its shape alone."""
ASSERTIONS = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range_for_size", "_guards_fn")
LARGEST_CONSTANT = 2**28


def read_program(program: ExportedProgram, name: str) -> Graph | Model:
    """The network of an exported program: a Graph if its parameters have no numbers.

    Operators that are not known become Opaque. Raises ModelError, in one line that names the user's line.
    """
    import torch

    tensors = {key: _plain(tensor) for key, tensor in {**program.state_dict, **program.constants}.items()
               if isinstance(tensor, torch.Tensor)}  # fmt: skip
    parameters = {key for key, _ in program.named_parameters()}
    real = not any(tensors[key].is_meta for key in tensors)
    if not real:
        tensors = {key: tensor.to("meta") for key, tensor in tensors.items()}
    network = TorchNetwork(name, real)
    _inputs(network, program, tensors, parameters)
    outputs: list[Any] = []
    with torch.no_grad():
        for call in program.graph.nodes:
            if call.op == "call_function":
                network.current = call
                made = len(network.build.nodes)
                network.results[call] = _result(network)
                network.place(made)
            elif call.op == "output":
                outputs = _flat(_resolved(network, call.args[0]))
    values = _values(network, program, outputs)
    try:
        graph, weights = network.finish(values)
        unused = sum(tensors[key].numel() for key in parameters if network.first[id(tensors[key])] not in network.used)
        notes = (f"{unused:,} parameters are read by no operator in inference: not counted",) if unused else ()
        return Model(graph, weights, notes=notes) if real else graph
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself; on the meta device if it has no numbers."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensor

    if isinstance(tensor, FakeTensor):
        return torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="meta")
    if tensor.is_sparse or tensor.is_quantized:
        raise ModelError("the network holds sparse or quantized tensors; dense float ones are needed")
    return tensor.detach().cpu() if tensor.device.type not in ("cpu", "meta") else tensor.detach()


def _inputs(network: TorchNetwork, program: ExportedProgram, tensors: Any, parameters: set[str]) -> None:
    """Placeholders: the network's inputs, its parameters and other tensors."""
    for key in sorted(parameters):
        original = program.state_dict[key]
        known = next((other for other in network.tensors if program.state_dict[other] is original), key)
        network.tensors.setdefault(known, tensors[key])
        network.first[id(tensors[key])] = known
    places = {spec.arg.name: spec for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    for call in program.graph.nodes:
        if call.op != "placeholder":
            continue
        target = places[call.name].target if call.name in places else None
        if target in tensors:
            origin = network.first.get(id(tensors[target]))
            network.results[call] = Known(tensors[target], frozenset([origin] if origin else []))
        elif not hasattr(call.meta.get("val"), "shape"):
            network.results[call] = call.meta.get("val")
        else:
            shape = tuple(call.meta["val"].shape)
            if not all(isinstance(size, int) for size in shape):
                raise ModelError(f"{network.build.name}: input '{call.name}' has dynamic shape {shape}; "
                                 "export the module with fixed sizes")  # fmt: skip
            try:
                network.results[call] = network.build.input(call.name, shape)
            except ValueError as error:
                raise ModelError(f"{network.build.name}: {error}; give --shape with a batch of 1") from None


def _result(network: TorchNetwork) -> Any:
    """Of the current call: computed with torch if it depends on no input, else added to the graph."""
    call = network.call
    arguments, options = _resolved(network, call.args), _resolved(network, call.kwargs)
    if call.target is operator.getitem:
        return arguments[0][arguments[1]]
    name = operator_of(call)
    if name in ASSERTIONS:
        return None
    inputs = _flat([arguments, options])
    if name in CREATORS or not any(isinstance(x, Value) for x in inputs):
        return _evaluated(network, arguments, options)
    try:
        if name not in SUPPORTED:
            network.unknown("")
        return SUPPORTED[name](network, *_in_order(call.target, arguments, options))
    except Unknown as reason:
        return network.opaque(inputs, call.meta.get("val"), str(reason))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{network.where()}: {name}: {error}") from None


def _in_order(target: Any, arguments: Any, options: Any) -> list[Any]:
    """A call's arguments in the order of the operator's schema, without those that say dtype, layout and device."""
    found = []
    for index, argument in enumerate(target._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        found.append(arguments[index] if index < len(arguments) else options.get(argument.name, default))
    return found


def _evaluated(network: TorchNetwork, arguments: Any, options: Any) -> Any:
    """A call that depends on no input's numbers."""
    import torch
    from torch.utils._pytree import tree_map

    call = network.call
    target: Any = call.target
    stated: Any = call.meta.get("val")
    if getattr(stated, "numel", lambda: 0)() > LARGEST_CONSTANT:
        numbers = stated.numel()
        raise ModelError(f"{network.where()}: makes a constant of {numbers} numbers; {LARGEST_CONSTANT} are the most")
    device = "cpu" if network.real else "meta"
    read: set[str] = set()

    def tensor_of(x: Any) -> Any:
        if isinstance(x, Known):
            read.update(x.origins)
            return x.tensor
        return torch.empty(x.shape, device=device) if isinstance(x, Value) else x

    arguments, options = tree_map(tensor_of, (arguments, options), is_leaf=lambda x: isinstance(x, (Known, Value)))
    if "device" in options:
        options = {**options, "device": torch.device(device)}
    try:
        made = target(*arguments, **options)
    except Exception as error:
        # torch raises what it likes where a tensor without numbers is asked for one.
        raise ModelError(f"{network.where()}: {operator_of(call)}: {' '.join(str(error).split())[:200]}") from None
    return tree_map(lambda x: Known(x, frozenset(read)) if isinstance(x, torch.Tensor) else x, made)


def _resolved(network: TorchNetwork, arguments: Any) -> Any:
    from torch.fx.node import Node, map_aggregate

    return map_aggregate(arguments, lambda x: network.results[x] if isinstance(x, Node) else x)


def _flat(arguments: Any) -> list[Any]:
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if isinstance(arguments, Iterable) and not isinstance(arguments, str):
        return [x for each in arguments for x in _flat(each)]
    return [arguments]


def _values(network: TorchNetwork, program: ExportedProgram, outputs: list[Any]) -> list[Value]:
    """What the user gets, without buffers that the program writes."""
    specs = program.graph_signature.output_specs
    kept = [x for x, spec in zip(outputs, specs, strict=False) if spec.kind.name == "USER_OUTPUT"]
    values = [x for x in kept if isinstance(x, Value)]
    if not values:
        raise ModelError(f"{network.build.name}: no output depends on the input")
    if any(any(value.name == input.name for input in network.build.inputs) for value in values):
        raise ModelError(f"{network.build.name}: an output is the input itself: there is nothing to count")
    return values
