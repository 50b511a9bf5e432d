"""The C of a model that is executed layer by layer."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from millijoule.emit.project import Layer, Project
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.base import Call
from millijoule.ops.shape import Concat
from millijoule.plan.plan import Plan

OUTPUT_STEPS = ("output_pixel", "output_row")
INPUT_STEPS = (("input_pixel", "input_row", "a_step"), ("b_step",))
"""Parameters of kernels that are distances in the output and in each input."""


class StoredProject(Project):
    def __init__(self, model: Model, plan: Plan) -> None:
        self.plan = plan
        super().__init__(model, plan.arena_bytes)
        self.layers = [layer for layer in self.layers if layer.node.name not in plan.joined]

    def calls(self, node: Node) -> tuple[Call, ...]:
        try:
            calls = node.op.call(
                *self.graph.input_shapes(node),
                weights=self.model.node_weights(node),
                quantization=self.model.node_quantization(node),
                target=self.plan.target,
            )
        except (ValueError, ModelError) as error:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None
        if node.name in self.plan.joined:
            return ()
        stepped = (self._with_steps(node, call) for call in calls)
        return tuple(call for call in stepped if not self._is_in_place(node, call))

    def _with_steps(self, node: Node, call: Call) -> Call:
        """The call with what it reads or writes as parts of larger pixels."""
        parameters = dict(call.parameters)
        names = [(node.name, OUTPUT_STEPS), *zip((node.inputs[i] for i in call.inputs), INPUT_STEPS, strict=False)]
        for value, steps in names:
            *sizes, channels = self.graph.shapes[value]
            known = [name for name in steps if name in parameters]
            if value in self.plan.pixel_bytes:
                assert known or prod(sizes) == 1, f"{call.function} cannot leave bytes between pixels of '{value}'"
                # Distances are as many times larger as pixels are.
                larger = {name: parameters[name] * self.plan.pixel_bytes[value] // channels for name in known}
                parameters |= larger
        return replace(call, parameters=parameters)

    def _is_in_place(self, node: Node, call: Call) -> bool:
        """Whether an input of a concatenation lies where it belongs."""
        if not isinstance(node.op, Concat):
            return False
        given = node.inputs[call.inputs[0]]
        there = self.offset(node.name) + call.parameters["output_offset"]
        return self.offset(given) == there and call.parameters["input_pixel"] == call.parameters["output_pixel"]

    def offset(self, value: str) -> int:
        return self.plan.offsets[value]

    def held(self) -> list[tuple[int, int]]:
        return []

    def functions(self) -> str:
        return "\n".join(self.layer(layer, "void", self._body(layer)) for layer in self.layers)

    def statements(self) -> str:
        return "\n".join(f"    {layer.symbol}();" for layer in self.layers)

    def _body(self, layer: Layer) -> str:
        node = layer.node
        inputs = [self.place(self.offset(name)) for name in node.inputs]
        outputs = [self.place(self.offset(node.name))]
        return self.body(layer, inputs, outputs, self.plan.offsets.get(f"{node.name}.scratch"))
