"""Networks of the zoo, initialised and run once in float on small images."""

import numpy as np
import pytest

from millijoule import zoo
from millijoule.model import Model

torch = pytest.importorskip("torch")
from millijoule.train.initial import initial_weights  # noqa: E402
from millijoule.train.network import network_of  # noqa: E402


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("deep_belief", {}),
        ("nin", {"input_shape": (96, 96, 3), "classes": 5}),
        ("googlenet", {"auxiliary": True, "classes": 5}),
        ("resnet18", {"input_shape": (64, 64, 3)}),
        ("resnet20", {}),
        ("densenet121", {"input_shape": (32, 32, 3)}),
        ("xception", {"input_shape": (71, 71, 3)}),
        ("squeezenet1_1", {"input_shape": (64, 48, 3)}),
        ("mobilenet_v2", {"input_shape": (32, 32, 1), "width": 0.35}),
        ("mobilenet_v3_small", {"input_shape": (64, 64, 3)}),
        ("shufflenet_v1", {"input_shape": (64, 64, 3)}),
        ("shufflenet_v2", {"input_shape": (64, 64, 3), "width": 0.5}),
        ("efficientnet_lite0", {"input_shape": (64, 64, 3)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_network_tells_two_images_apart(name, arguments):
    graph = zoo.get(name, **arguments)
    images = np.random.default_rng(0).normal(size=(2, *graph.inputs[0].shape)).astype(np.float32)
    with torch.inference_mode():
        found = network_of(Model(graph, initial_weights(graph, seed=0)))(torch.from_numpy(images))
    assert set(found) == set(graph.outputs)
    for output, values in found.items():
        assert values.shape == (2, *graph.shapes[output])
        assert torch.isfinite(values).all()
        assert (values[0] - values[1]).abs().max() > 1e-3 * values.abs().max()
