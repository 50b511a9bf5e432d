"""Operators whose inputs and output are parts of larger pixels: the emitted C against the integer reference.

    input ─▶ two copies side by side, of which one ─▶ operator ─▶ result ─▶ copy, beside the result

A copy is a Requantize between equal scales. The concatenations have nothing to do.
"""

from __future__ import annotations

from concurrent.futures import Future
from importlib import import_module

import numpy as np
import pytest

from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import Concat, Requantize
from millijoule.ops.activation import Unary
from millijoule.plan import plan
from tests.ops.batch import CORES, KINDS, Outputs, everywhere, of_one_input
from tests.ops.cases import CASES, INT8_CASES, int8_inputs, int8_model

NAMES = [
    name
    for name in INT8_CASES
    # All functions of one number have the same kernel.
    if CASES[name].op.writes_parts and (name == "relu" or not isinstance(CASES[name].op, Unary | Concat))
]


def among_parts(name: str) -> tuple[Model, set[str]]:
    """The network above around the operator of a case, and the values that are parts in it."""
    model = of_one_input(int8_model(name), name)
    *first, (node) = model.graph.nodes
    quantization = dict(model.quantization or {})
    parts, nodes = {name, f"{name}_copy"}, list(first)
    read = node.inputs if node.op.reads_parts else ()
    for value in read:
        copies = [f"{value}_copy{i}" for i in range(2)]
        nodes += [Node(copy, Requantize(), (value,)) for copy in copies]
        nodes.append(Node(f"{value}_both", Concat(), tuple(copies)))
        quantization |= dict.fromkeys([*copies, f"{value}_both"], quantization[value])
        parts |= set(copies)
    nodes.append(Node(name, node.op, tuple(f"{value}_copy1" for value in read) or node.inputs))
    nodes.append(Node(f"{name}_copy", Requantize(), (name,)))
    # What the input lies in is read later, so that it costs nothing that it does.
    nodes += [Node(f"{value}_later", Requantize(), (f"{value}_both" if read else value,)) for value in node.inputs]
    quantization |= {f"{value}_later": quantization[value] for value in node.inputs}
    nodes.append(Node(f"{name}_both", Concat(), (f"{name}_copy", name)))
    quantization |= dict.fromkeys([f"{name}_copy", f"{name}_both"], quantization[name])
    graph = Graph(name, model.graph.inputs, tuple(nodes), (f"{name}_both",))
    return Model(graph, model.weights, quantization), parts


MODELS, PARTS = {}, {}
for each in NAMES:
    MODELS[each], PARTS[each] = among_parts(each)
INPUTS = {
    name: np.concatenate([array.reshape(len(array), -1) for array in int8_inputs(name)], axis=1).reshape(
        -1, *MODELS[name].graph.inputs[0].shape
    )
    for name in NAMES
}


@pytest.fixture(scope="module", autouse=True)
def whatever_it_takes():
    """All that can be a part is one, also where that takes more memory: every kernel is tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("millijoule.plan.lifetimes"), "_live_bytes", lambda held: [0])
        yield


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    with everywhere(tmp_path_factory.mktemp, MODELS, INPUTS, by_gcc=CORES) as outputs:
        yield outputs


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_copied(name: str):
    planned = plan(MODELS[name])
    assert planned.pixel_bytes.keys() == PARTS[name]
    assert planned.joined == {node.name for node in MODELS[name].graph.nodes if node.name.endswith("_both")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [*KINDS, *CORES])
def test_emitted_c_equals_int8(batches: dict[str, Future[Outputs]], place: str, name: str):
    model = MODELS[name]
    expected = model.run(INPUTS[name])[model.graph.outputs[0]]
    np.testing.assert_array_equal(batches[place].result()[name].reshape(expected.shape), expected)


def test_the_operators_that_write_or_read_parts_are_all_here():
    among = {type(CASES[name].op) for name in NAMES} | {Concat}
    known = {type(CASES[name].op) for name in INT8_CASES if CASES[name].op.writes_parts}
    assert {op for op in known if not issubclass(op, Unary)} <= among
