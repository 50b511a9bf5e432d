"""Random ONNX graphs against ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.load.onnx_models import assert_equal_to_ort, node, onnx_model

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


class Growth:
    """A graph that grows by random operators; every value's shape is known."""

    def __init__(self, draw, shape):
        self.draw, self.shapes = draw, {"x": tuple(shape)}
        self.nodes, self.constants = [], {}
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))

    def new(self, shape):
        name = f"v{len(self.shapes)}"
        self.shapes[name] = tuple(shape)
        return name

    def constant(self, array):
        name = f"k{len(self.constants)}"
        self.constants[name] = array
        return name

    def numbers(self, *shape):
        return self.constant(self.rng.standard_normal(shape).astype(np.float32) / 2)

    def map_of(self, x):
        """A value of four axes, batch first."""
        return len(self.shapes[x]) == 4 and self.shapes[x][0] == 1

    def grow(self):
        # Of all values, so that branches arise; mostly the last.
        x = self.draw(st.sampled_from([*self.shapes] + [list(self.shapes)[-1]] * 3))
        kinds = ["relu", "transpose", "reshape", "flatten", "concat", "add", "slice", "bias"]
        if self.map_of(x):
            kinds += ["conv", "conv", "pool", "mean", "gate"]
        if len(self.shapes[x]) == 2 and self.shapes[x][0] == 1:
            kinds += ["gemm"]
        getattr(self, self.draw(st.sampled_from(kinds)))(x, self.shapes[x])

    def relu(self, x, shape):
        self.nodes.append(node("Relu", x, self.new(shape)))

    def transpose(self, x, shape):
        order = (0, *self.draw(st.permutations(range(1, len(shape)))))
        self.nodes.append(node("Transpose", x, self.new([shape[i] for i in order]), perm=order))

    def reshape(self, x, shape):
        total = int(np.prod(shape))
        first = self.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0][:8]))
        rest = total // first
        second = self.draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0][:6]))
        target = self.draw(st.sampled_from([(1, total), (1, first, rest), (1, first, second, rest // second)]))
        self.nodes.append(node("Reshape", f"{x} {self.constant(np.array(target))}", self.new(target)))

    def flatten(self, x, shape):
        self.nodes.append(node("Flatten", x, self.new((shape[0], int(np.prod(shape[1:]))))))

    def concat(self, x, shape):
        axis = self.draw(st.integers(1, len(shape) - 1))
        if np.prod(shape) > 2000:
            return
        result = [size * (2 if i == axis else 1) for i, size in enumerate(shape)]
        others = [name for name, other in self.shapes.items() if other == shape]
        self.nodes.append(node("Concat", f"{x} {self.draw(st.sampled_from(others))}", self.new(result), axis=axis))

    def add(self, x, shape):
        others = [name for name, other in self.shapes.items() if other == shape]
        self.nodes.append(node("Add", f"{x} {self.draw(st.sampled_from(others))}", self.new(shape)))

    def bias(self, x, shape):
        axis = self.draw(st.integers(1, len(shape) - 1))
        array = self.numbers(*(size if i == axis else 1 for i, size in enumerate(shape)))
        self.nodes.append(node("Mul", f"{x} {array}", self.new(shape)))

    def slice(self, x, shape):
        axis = self.draw(st.integers(1, len(shape) - 1))
        start = self.draw(st.integers(0, shape[axis] - 1))
        stop = self.draw(st.integers(start + 1, shape[axis]))
        names = [self.constant(np.array([number])) for number in (start, stop, axis)]
        result = [stop - start if i == axis else size for i, size in enumerate(shape)]
        self.nodes.append(node("Slice", " ".join([x, *names]), self.new(result)))

    def conv(self, x, shape):
        if max(shape[2:]) > 40 or shape[1] > 64:
            return
        weight = self.numbers(self.draw(st.integers(1, 6)), shape[1], 3, 3)
        stride = self.draw(st.integers(1, 2))
        result = (1, self.constants[weight].shape[0], *((size - 1) // stride + 1 for size in shape[2:]))
        self.nodes.append(node("Conv", f"{x} {weight}", self.new(result), pads=[1] * 4, strides=[stride] * 2))

    def pool(self, x, shape):
        result = (1, shape[1], *(size // 2 + 1 for size in shape[2:]))
        kind = self.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        self.nodes.append(node(kind, x, self.new(result), kernel_shape=[2, 2], strides=[2, 2], pads=[1] * 4))

    def mean(self, x, shape):
        self.nodes.append(node("GlobalAveragePool", x, self.new((1, shape[1], 1, 1))))

    def gate(self, x, shape):
        pooled = self.new((1, shape[1], 1, 1))
        self.nodes.append(node("GlobalMaxPool", x, pooled))
        self.nodes.append(node("Mul", f"{pooled} {x}", self.new(shape)))

    def gemm(self, x, shape):
        features = self.draw(st.integers(1, 7))
        self.nodes.append(node("Gemm", f"{x} {self.numbers(shape[1], features)}", self.new((1, features))))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_graphs_equal_onnx_runtime(data, tmp_path_factory):
    shape = data.draw(st.sampled_from([(1, 6, 4, 5), (1, 12), (1, 4, 6), (1, 2, 7, 3)]))
    graph = Growth(data.draw, shape)
    for _ in range(data.draw(st.integers(1, 9))):
        graph.grow()
    last = list(graph.shapes)[-1]
    graph.nodes.append(node("Sigmoid", last, "y"))
    model = onnx_model(graph.nodes, shape, constants=graph.constants)
    assert_equal_to_ort(model, tmp_path_factory.mktemp("random"), shape)
