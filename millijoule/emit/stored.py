"""The C of a model that is executed layer by layer."""

from __future__ import annotations

from millijoule.emit.project import Layer, Project
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.base import Call
from millijoule.plan.plan import Plan


class StoredProject(Project):
    def __init__(self, model: Model, plan: Plan) -> None:
        self.plan = plan
        super().__init__(model, plan.arena_bytes)

    def calls(self, node: Node) -> tuple[Call, ...]:
        try:
            return node.op.call(
                *self.graph.input_shapes(node),
                weights=self.model.node_weights(node),
                quantization=self.model.node_quantization(node),
                target=self.plan.target,
            )
        except (ValueError, ModelError) as error:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None

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
