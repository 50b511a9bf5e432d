"""Small ONNX models, and what ONNX Runtime computes of them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import millijoule
from millijoule.model import Model

FLOAT = TensorProto.FLOAT
IR_VERSION = 8


def node(operator, inputs, outputs, domain="", **attributes):
    """inputs, outputs: names between spaces; two spaces leave an input out."""
    return helper.make_node(
        operator,
        inputs.split(" "),
        outputs.split(),
        name=f"{operator.lower()}_{outputs.split()[0]}",
        domain=domain,
        **attributes,
    )


def onnx_model(nodes, x, *, opset=13, constants=None, outputs=("y",), **inputs):
    """A model of input `x` (a shape) whose outputs are `outputs`; constants: arrays by name."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in {"x": x, **inputs}.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in {n.domain for n in nodes} - {""}]
    return helper.make_model(graph, opset_imports=imports, ir_version=min(IR_VERSION + (opset > 18) * 2, 10))


def load(model, folder, input_shape=None) -> Model:
    return millijoule.load(save(model, folder / "net.onnx"), input_shape)


def ort_run(model, *inputs):
    from tests.export.ort import session_of

    session = session_of(model.SerializeToString())
    feeds = {entry.name: x for entry, x in zip(session.get_inputs(), inputs, strict=True)}
    return session.run(None, feeds)


def run(model: Model, *inputs):
    """Every output of a float model for one sample of the framework's layout."""
    import torch

    from millijoule.train.network import network_of

    stored = []
    for x, entry in zip(inputs, model.graph.inputs, strict=True):
        if x.ndim == 4 and x.shape[1:] != entry.shape:
            x = x.transpose(0, 2, 3, 1)
        stored.append(torch.from_numpy(np.ascontiguousarray(x)).reshape(1, *entry.shape))
    with torch.inference_mode():
        found = network_of(model)(*stored)
    return [found[name].numpy() for name in model.graph.outputs]


def same(ours, theirs, *, tolerance=1e-4):
    """Equal up to rounding; ours with channels last, or in the framework's order."""
    assert ours.size == theirs.size
    batchless = theirs.shape[1:] if theirs.ndim > 1 and theirs.shape[0] == 1 else theirs.shape
    if theirs.ndim == 4 and ours.shape[1:] != batchless:
        theirs = theirs.transpose(0, 2, 3, 1)
        assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.reshape(-1), theirs.reshape(-1), rtol=tolerance, atol=tolerance / 10)


def assert_equal_to_ort(model, folder, *shapes) -> Model:
    """The loaded model, whose outputs are ONNX Runtime's for random inputs; loaded twice, with and without names."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape, np.float32) for shape in shapes]
    loaded = load(model, folder)
    expected = ort_run(model, *inputs)
    for ours, theirs in zip(run(loaded, *inputs), expected, strict=True):
        same(ours, theirs)
    return loaded


def save(model, path, **arguments):
    if arguments:
        onnx.save_model(model, str(path), **arguments)
    else:
        path.write_bytes(model.SerializeToString())
    return path
