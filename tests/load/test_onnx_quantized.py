"""QuantizeLinear and DequantizeLinear as an int8 model: against ONNX Runtime, which requantizes in float."""

import numpy as np
import pytest

import millijoule
from millijoule.errors import ModelError
from millijoule.load.onnx.integers import NOTE
from millijoule.model import Quantization
from millijoule.ops import Add, Concat, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Opaque, Requantize, Softmax
from tests.load.onnx_models import load, node, onnx_model, ort_run

pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
SHAPE = [1, 6, 8, 8]


class Quantized:
    """Builds a model whose values all pass QuantizeLinear and DequantizeLinear."""

    def __init__(self, dtype=np.int8):
        self.dtype, self.nodes, self.constants = dtype, [], {}

    def value(self, name, scale, zero_point):
        """name_q: `name` quantized and back; zero_point: of int8."""
        shift = 128 if self.dtype == np.uint8 else 0
        self.constants[f"{name}_s"] = np.float32(scale)
        self.constants[f"{name}_z"] = np.array(zero_point + shift, self.dtype)
        self.nodes.append(node("QuantizeLinear", f"{name} {name}_s {name}_z", f"{name}_i"))
        self.nodes.append(node("DequantizeLinear", f"{name}_i {name}_s {name}_z", f"{name}_q"))

    def weight(self, name, *shape, axis=0, input_scale):
        """`name`: int8 weights with a scale for each output; `name_b`: int32 biases."""
        scales = RNG.uniform(0.005, 0.02, shape[axis]).astype(np.float32)
        zeros = np.zeros(shape[axis], np.int8)
        self.constants |= {
            f"{name}_w": RNG.integers(-127, 128, shape, dtype=np.int8),
            f"{name}_ws": scales,
            f"{name}_wz": zeros,
            f"{name}_c": RNG.integers(-2000, 2000, shape[axis], dtype=np.int32),
            f"{name}_cs": scales * np.float32(input_scale),
            f"{name}_cz": zeros.astype(np.int32),
        }
        self.nodes.append(node("DequantizeLinear", f"{name}_w {name}_ws {name}_wz", name, axis=axis))
        self.nodes.append(node("DequantizeLinear", f"{name}_c {name}_cs {name}_cz", f"{name}_b", axis=0))

    def add(self, *args, **attributes):
        self.nodes.append(node(*args, **attributes))

    def model(self, **arguments):
        return onnx_model(self.nodes, SHAPE, constants=self.constants, **arguments)


def network(dtype=np.int8):
    """Convolutions with and without ReLU, a residual, pools, a concatenation of two scales, a dense layer, softmax."""
    build = Quantized(dtype)
    build.value("x", 0.03, -5)
    build.weight("w1", 8, 6, 3, 3, input_scale=0.03)
    build.add("Conv", "x_q w1 w1_b", "c1", pads=[1, 1, 1, 1])
    build.add("Relu", "c1", "r1")
    build.value("r1", 0.05, -128)
    build.weight("w2", 8, 1, 3, 3, input_scale=0.05)
    build.add("Conv", "r1_q w2 w2_b", "c2", pads=[1, 1, 1, 1], group=8)
    build.value("c2", 0.04, 7)
    build.add("Add", "c2_q r1_q", "a")
    build.value("a", 0.08, -20)
    build.add("MaxPool", "a_q", "m", kernel_shape=[2, 2], strides=[2, 2])
    build.value("m", 0.08, -20)
    build.weight("w3", 4, 8, 1, 1, input_scale=0.08)
    build.add("Conv", "m_q w3 w3_b", "c3")
    build.value("c3", 0.1, 3)
    build.add("Concat", "m_q c3_q", "k", axis=1)
    build.value("k", 0.1, 0)
    build.add("GlobalAveragePool", "k_q", "p")
    build.value("p", 0.05, 2)
    build.add("Flatten", "p_q", "f")
    build.weight("w4", 5, 12, input_scale=0.05)
    build.add("Gemm", "f w4 w4_b", "g", transB=1)
    build.value("g", 0.06, 10)
    return build


def integers(count=16):
    return RNG.integers(-128, 128, (count, 8, 8, 6), dtype=np.int8)


def compared(model, loaded, x, *, channels_last=False):
    """(ours, ONNX Runtime's) as int8, for int8 inputs; channels_last: of maps."""
    entry, output = loaded.graph.inputs[0].name, loaded.graph.outputs[0]
    ours = loaded.run(x)[output].reshape(len(x), -1)
    reals = loaded.quantization[entry].dequantize(x).transpose(0, 3, 1, 2)
    theirs = np.concatenate([ort_run(model, reals[index : index + 1])[0] for index in range(len(x))])
    theirs = (theirs.transpose(0, 2, 3, 1) if channels_last else theirs).reshape(len(x), -1)
    return ours.astype(int), loaded.quantization[output].quantize(theirs).astype(int)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_network_is_what_onnx_runtime_computes(dtype, tmp_path):
    build = network(dtype)
    model = build.model(outputs=("g_q",))
    loaded = load(model, tmp_path)
    assert loaded.is_int8
    assert loaded.notes == (NOTE,)
    kinds = [type(each.op) for each in loaded.graph.nodes]
    assert kinds == [
        Conv2d,
        Conv2d,
        Add,
        MaxPool2d,
        Conv2d,
        Requantize,
        Requantize,
        Concat,
        GlobalAveragePool,
        Dense,
    ]
    assert loaded.graph.nodes[0].op.activation == "relu"
    ours, theirs = compared(model, loaded, integers())
    assert np.mean(ours == theirs) > 0.9


def convolution(build):
    build.weight("w", 8, 6, 3, 3, input_scale=0.03)
    build.add("Conv", "x_q w w_b", "y", pads=[1, 1, 1, 1], strides=[2, 2])


def depthwise(build):
    build.weight("w", 6, 1, 3, 3, input_scale=0.03)
    build.add("Conv", "x_q w w_b", "y", group=6)


def convolution_and_relu6(build):
    convolution(build)
    build.constants |= {"low": np.float32(0), "high": np.float32(6)}
    build.nodes[-1].output[0] = "c"
    build.add("Clip", "c low high", "y")


def residual(build):
    build.add("Relu", "x_q", "r")
    build.value("r", 0.0271, -100)
    build.add("Add", "x_q r_q", "y")


@pytest.mark.parametrize("layer", [convolution, depthwise, convolution_and_relu6, residual])
def test_one_layer_differs_from_onnx_runtime_by_a_step_at_most(layer, tmp_path):
    build = Quantized()
    build.value("x", 0.03, -5)
    layer(build)
    build.value("y", 0.1973, 11)
    model = build.model(outputs=("y_q",))
    loaded = load(model, tmp_path)
    ours, theirs = compared(model, loaded, integers(), channels_last=True)
    assert len(np.unique(ours)) > 50 or layer is convolution_and_relu6
    assert np.abs(ours - theirs).max() <= 1
    assert np.mean(ours == theirs) > 0.99


def test_uint8_is_int8_less_128(tmp_path):
    signed = load(network(np.int8).model(outputs=("g_q",)), tmp_path)
    entry = signed.graph.inputs[0].name
    unsigned = load(network(np.uint8).model(outputs=("g_q",)), tmp_path)
    assert unsigned.quantization[entry] == signed.quantization[entry] == Quantization.of(0.03, -5)


def test_softmax_at_the_end_gets_the_prescribed_scale(tmp_path):
    build = network()
    build.add("Softmax", "g_q", "y", axis=1)
    model = build.model()
    loaded = load(model, tmp_path)
    output = loaded.graph.outputs[0]
    assert isinstance(loaded.graph.by_name[output].op, Softmax)
    assert loaded.quantization[output] == Quantization.of(1 / 256, -128)
    ours, theirs = compared(model, loaded, integers())
    assert np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)) > 0.9


def test_another_scale_behind_a_softmax_is_requantized(tmp_path):
    build = network()
    build.add("Softmax", "g_q", "s", axis=1)
    build.value("s", 1 / 128, -100)
    loaded = load(build.model(outputs=("s_q",)), tmp_path)
    assert [type(each.op) for each in loaded.graph.nodes[-2:]] == [Softmax, Requantize]
    assert loaded.quantization[loaded.graph.outputs[0]] == Quantization.of(1 / 128, -100)


def test_biases_of_another_scale_are_brought_to_the_layers(tmp_path):
    build = network()
    before = load(build.model(outputs=("g_q",)), tmp_path)
    build.constants["w4_cs"] = build.constants["w4_cs"] * np.float32(0.5)
    build.constants["w4_c"] = build.constants["w4_c"] * 2
    after = load(build.model(outputs=("g_q",)), tmp_path)
    for name, array in before.weights.items():
        np.testing.assert_array_equal(after.weights[name], array)


def test_float_weights_in_a_quantized_network_are_refused(tmp_path):
    build = network()
    build.nodes = [each for each in build.nodes if each.output[0] != "w4"]
    build.constants["w4"] = np.ones((5, 12), np.float32)
    with pytest.raises(ModelError, match="float weights in a quantized network"):
        load(build.model(outputs=("g_q",)), tmp_path)


def test_quantized_weights_alone_are_compressed_storage(tmp_path):
    build = Quantized()
    build.weight("w", 4, 6, 1, 1, input_scale=1.0)
    build.add("Conv", "x w w_b", "y")
    loaded = load(build.model(), tmp_path)
    assert not loaded.is_int8
    assert loaded.notes == ("weights stored as integers were turned into float32",)


@pytest.mark.parametrize("scale", [1.0, 1 / 64])
def test_images_are_pixels_or_shares_of_one_by_the_scale(scale, tmp_path):
    from millijoule.train.prepare import quantized_inputs

    build = Quantized()
    build.value("x", scale, -128)
    build.weight("w", 4, 3, 1, 1, input_scale=scale)
    build.add("Conv", "x_q w w_b", "y")
    build.value("y", 0.1, 0)
    model = onnx_model(build.nodes, [1, 3, 16, 16], constants=build.constants, outputs=("y_q",))
    pixels = RNG.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    given = quantized_inputs(load(model, tmp_path), pixels)
    real = pixels / (255 if scale < 1 else 1)
    np.testing.assert_array_equal(given, Quantization.of(scale, -128).quantize(real))


def test_the_emitted_c_computes_the_same(tmp_path):
    build = network()
    build.add("Softmax", "g_q", "y", axis=1)
    loaded = load(build.model(), tmp_path)
    deployment = millijoule.deploy(loaded, "host", folder=tmp_path / "firmware")
    assert deployment.bit_exact


@pytest.mark.parametrize("requantized", [False, True])
def test_what_is_not_known_can_be_costed_in_a_quantized_network_too(requantized, tmp_path):
    build = network()
    build.constants |= {"one": np.ones(8, np.float32), "zero": np.zeros(8, np.float32)}
    at = next(index for index, each in enumerate(build.nodes) if each.op_type == "MaxPool")
    build.nodes[at].input[0] = "odd_q" if requantized else "odd"
    added, build.nodes = build.nodes[at:], build.nodes[:at]
    build.add("InstanceNormalization", "a_q one zero", "odd")
    if requantized:
        build.value("odd", 0.02, 1)
    build.nodes += added
    loaded = load(build.model(outputs=("g_q",)), tmp_path)
    assert sum(isinstance(each.op, Opaque) for each in loaded.graph.nodes) == 1
    assert list(millijoule.cost(loaded).not_counted.values()) == ["InstanceNormalization"]
    with pytest.raises(ModelError, match=r"not supported: 'instancenormalization_odd' \(InstanceNormalization\)"):
        millijoule.deploy(loaded, "host", folder=tmp_path / "firmware")
    assert not (tmp_path / "firmware").exists()
