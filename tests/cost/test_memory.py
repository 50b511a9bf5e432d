"""Peak memory: the eager rule against what PyTorch allocates, the others by hand."""

import weakref

import pytest

from millijoule import zoo
from millijoule.cost import cost
from millijoule.cost.memory import EAGER, IN_PLACE, LAYER_BY_LAYER, live_bytes
from millijoule.graph import Builder
from millijoule.load.torch import from_module
from millijoule.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LocalResponseNorm,
    MaxPool2d,
    Relu,
    Slice,
)

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402


class Allocated(TorchDispatchMode):
    """The bytes of all tensors that operators make, and the most at once."""

    def __init__(self, *held) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in held}
        self.now = self.peak = sum(tensor.untyped_storage().nbytes() for tensor in held)

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.freed, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return made

    def freed(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def allocated(module: nn.Module, *shape: int) -> int:
    """The most bytes that tensors hold, the input included, while `module` runs."""
    x = torch.zeros(1, *shape)
    module.eval()
    with torch.inference_mode(False), torch.no_grad(), Allocated(x, *module.parameters(), *module.buffers()) as seen:
        module(x)
    return seen.peak - sum(each.nbytes for each in (*module.parameters(), *module.buffers()))


class Residual(nn.Module):
    """A bottleneck whose shortcut changes the shape, as torchvision writes it."""

    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, middle, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(middle)
        self.second = nn.Conv2d(middle, outputs, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x
        out = self.first(x)
        out = self.first_norm(out)
        out = self.relu(out)
        out = self.second(out)
        out = self.second_norm(out)
        identity = self.shortcut(x)
        out += identity
        return self.relu(out)


def residual(build: Builder, name: str, middle: int, outputs: int) -> None:
    with build.block(name):
        x = build.last
        build(f"{name}_first", Conv2d(channels=middle, kernel=1, bias=False))
        build(f"{name}_first_norm", BatchNorm())
        build(f"{name}_first_relu", Relu())
        build(f"{name}_second", Conv2d(channels=outputs, kernel=1, bias=False))
        y = build(f"{name}_second_norm", BatchNorm())
        with build.block("shortcut"):
            build(f"{name}_shortcut", Conv2d(channels=outputs, kernel=1, bias=False), x)
            build(f"{name}_shortcut_norm", BatchNorm())
        build(f"{name}_add", Add(), y, build.last)
        build(f"{name}_relu", Relu())


def bottlenecks():
    build = Builder("bottlenecks", (12, 12, 3))
    build("stem", Conv2d(channels=8, kernel=3))
    residual(build, "one", 4, 24)
    residual(build, "two", 4, 16)
    return nn.Sequential(nn.Conv2d(3, 8, 3), Residual(8, 4, 24), Residual(24, 4, 16)), build.graph()


def pooled():
    build = Builder("pooled", (20, 20, 3))
    build("conv", Conv2d(channels=6, kernel=3))
    build("relu", Relu())
    build("pool", MaxPool2d(kernel=2))
    build("dropout", Dropout(rate=0.5))
    build("flat", Flatten())
    build("fc", Dense(features=700))
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(486, 700)
    )
    return module, build.graph()


def normalised():
    build = Builder("normalised", (9, 9, 2))
    build("conv", Conv2d(channels=16, kernel=3))
    build("relu", Relu())
    build("norm", LocalResponseNorm(size=5))
    build("mean", GlobalAveragePool())
    return nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(inplace=True), nn.LocalResponseNorm(5), Mean()), build.graph()


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


class Halves(nn.Module):
    """Each half of the channels through its own branch, then both beside each other, as ShuffleNet V2 does."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(4, 20, 1), nn.BatchNorm2d(20), nn.ReLU(inplace=True))

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        return torch.cat((left, self.branch(right)), dim=1)


def halves():
    build = Builder("halves", (6, 6, 3))
    build("conv", Conv2d(channels=8, kernel=1))
    with build.block("unit"):
        left = build("left", Slice(begin=(0, 0, 0), size=(6, 6, 4)))
        build("right", Slice(begin=(0, 0, 4), size=(6, 6, 4)), "conv")
        with build.block("branch"):
            build("branch_conv", Conv2d(channels=20, kernel=1))
            build("branch_norm", BatchNorm())
            build("branch_relu", Relu())
        build("both", Concat(), left, build.last)
    return nn.Sequential(nn.Conv2d(3, 8, 1), Halves()), build.graph()


class FunctionalUnit(nn.Module):
    """As ShuffleNet v1's authors write it: ReLU as a function of a sum, while both operands have names."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))

    def forward(self, old_x):
        x = self.branch(old_x)
        return nn.functional.relu(x + old_x)


def functional():
    build = Builder("functional", (6, 6, 3))
    build("conv", Conv2d(channels=8, kernel=1))
    with build.block("unit"):
        x = build.last
        with build.block("branch"):
            build("branch_conv", Conv2d(channels=8, kernel=1))
            build("branch_norm", BatchNorm())
        with build.block("join"):
            build("add", Add(), build.last, x)
            build("relu", Relu(), out_of_place=True)
    return nn.Sequential(nn.Conv2d(3, 8, 1), FunctionalUnit()), build.graph()


@pytest.mark.parametrize("case", [bottlenecks, pooled, normalised, halves, functional], ids=lambda case: case.__name__)
def test_eager_peak_is_what_torch_allocates(case):
    module, graph = case()
    height, width, channels = graph.inputs[0].shape
    assert cost(graph).eager_peak_bytes == allocated(module, channels, height, width)


@pytest.mark.parametrize("case", [bottlenecks, pooled, halves], ids=lambda case: case.__name__)
def test_eager_peak_of_a_loaded_module_is_what_torch_allocates(case):
    module, graph = case()
    height, width, channels = graph.inputs[0].shape
    found = cost(from_module(module.eval(), (1, channels, height, width)))
    assert found.eager_peak_bytes == allocated(module, channels, height, width)


@pytest.mark.parametrize("inplace", [True, False])
def test_a_loaded_activation_works_in_place_if_its_module_says_so(inplace):
    module = nn.Sequential(nn.Conv2d(1, 20, 1), nn.ReLU(inplace=inplace), nn.Conv2d(20, 1, 1))
    found = cost(from_module(module.eval(), (1, 1, 8, 8)))
    assert found.eager_peak_bytes == allocated(module, 1, 8, 8) == 4 * 64 * (1 + 20 + (1 if inplace else 20))


def test_a_loaded_module_with_operators_that_are_not_known_is_counted_at_least():
    module, _ = normalised()
    assert 0 < cost(from_module(module.eval(), (1, 2, 9, 9))).eager_peak_bytes <= allocated(module, 2, 9, 9)


def test_a_block_keeps_what_it_reads():
    def peak(in_a_block: bool) -> int:
        build = Builder("block", (4, 4, 1))
        build("wide", Conv2d(channels=100, kernel=1))
        if in_a_block:
            with build.block("unit"):
                build("conv", Conv2d(channels=90, kernel=1))
                build("norm", BatchNorm())
        else:
            build("conv", Conv2d(channels=90, kernel=1))
            build("norm", BatchNorm())
        return cost(build.graph()).eager_peak_bytes

    assert peak(False) == 4 * 16 * (1 + 100 + 90)
    assert peak(True) == 4 * 16 * (1 + 100 + 90 + 90)


def test_a_convolution_padded_unequally_reads_a_copy():
    build = Builder("same", (4, 4, 3))
    build("conv", Conv2d(channels=2, kernel=3, stride=2, padding="same"))
    assert live_bytes(build.graph(), 4, EAGER) == [4 * (48 + 5 * 5 * 3 + 2 * 2 * 2)]


def test_in_place_results_take_the_place_of_an_input_that_dies():
    build = Builder("places", (10,))
    x = build("one", Dense(features=10))
    build("relu", Relu())
    build("sum", Add(), x, build.last)
    graph = build.graph()
    assert live_bytes(graph, 1, LAYER_BY_LAYER) == [20, 20, 30]
    assert live_bytes(graph, 1, IN_PLACE) == [20, 20, 20]


def test_what_is_deployed_has_its_own_peak():
    _, graph = bottlenecks()
    found = cost(graph)
    maps = 10 * 10 * 4
    assert (found.peak_ram_bytes, found.peak_layer) == (maps * (24 + 24 + 24), "one_shortcut_norm")
    assert (found.in_place_peak_bytes, found.in_place_peak_layer) == (maps * (8 + 24 + 24), "one_shortcut")


# MiB that PyTorch's own memory tracker saw at most, without weights, in eager inference of torchvision's definitions
# (nin, densenet and shufflenet_v1: their authors'; xception: timm's); benchmarks/memory_peak.py compares more.
MEASURED = {
    "alexnet_torchvision": 1.848,
    "nin": 2.713,
    "vgg16": 25.076,
    "googlenet_torchvision": 6.697,
    "resnet50": 10.533,
    "resnet152": 10.524,
    "inception_v3": 14.216,
    "densenet121": 10.141,
    "xception": 37.949,
    "mobilenet_v2": 10.528,
    "shufflenet_v1": 3.733,
    "shufflenet_v2": 2.875,
    "squeezenet1_0": 8.131,
}


@pytest.mark.parametrize("name", MEASURED)
def test_eager_peaks_of_known_networks_are_what_was_measured(name):
    assert cost(zoo.get(name)).eager_peak_bytes / 2**20 == pytest.approx(MEASURED[name], rel=0.002)
