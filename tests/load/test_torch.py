"""Modules through torch.export: outputs equal torch's own, names, parameters counted once, nothing allocated."""

import numpy as np
import pytest

import millijoule as mj
from millijoule.load.torch import from_module
from millijoule.model import Model
from millijoule.ops import Attention, ChannelShuffle, Constant, Conv2d, Opaque, Transpose
from millijoule.train.network import network_of

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
MAP = (1, 4, 9, 12)


class Function(nn.Module):
    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def randomised(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for array in module.parameters():
            array.uniform_(-0.5, 0.5)
        for name, array in module.named_buffers():
            if array.is_floating_point():
                array.uniform_(0.5, 1.5) if "var" in name else array.uniform_(-0.5, 0.5)
    return module.eval()


def assert_equal_outputs(module, shape=MAP, bound=1e-5) -> Model:
    """The imported model gives what the module gives; each of its trained numbers is a parameter of the module."""
    module = randomised(module)
    model = from_module(module, shape)
    assert not mj.cost(model).not_counted
    x = torch.randn(2, *shape[1:])
    with torch.no_grad():
        expected = module(x[:1]), module(x[1:])
        given = x.permute(0, 2, 3, 1) if len(shape) == 4 else x
        found = network_of(model)(given)
    for index, name in enumerate(model.graph.outputs):
        theirs = torch.cat([each if isinstance(each, torch.Tensor) else each[index] for each in expected])
        ours = found[name].permute(0, 3, 1, 2) if theirs.ndim == 4 and found[name].ndim == 4 else found[name]
        assert theirs.abs().max() > 0.01
        torch.testing.assert_close(ours.reshape(theirs.shape), theirs, atol=bound, rtol=bound)
    assert mj.cost(model).params == sum(each.numel() for each in module.parameters())
    return model


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        gate = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(gate))))


class Shuffle(nn.Module):
    def forward(self, x):
        n, c, h, w = x.shape
        left, right = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w).chunk(2, dim=1)
        return torch.cat([right, left], dim=1)


class Transformer(nn.Module):
    """Patches, a class token, positions, attention and a head: a vision transformer of one layer."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(4, 8, 3, stride=3)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, 13, 8))
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head(x[:, 0])


def in_place(_, x):
    x = x.clone()
    x += 1
    return F.relu_(x.mul_(2))


def stochastic_depth(self, x):
    return x + (F.dropout(self.conv(x), 0.5, self.training) if self.training else self.conv(x))


NETWORKS = {
    "functional": Function(
        lambda m, x: torch.flatten(F.max_pool2d(F.relu(m.bn(m.conv(x))), 3, stride=2, padding=1), 1),
        conv=nn.Conv2d(4, 6, 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(6),
    ),
    "sequential": nn.Sequential(nn.Conv2d(4, 6, (3, 5), stride=2), nn.ReLU6(), nn.Flatten(), nn.Linear(96, 3)),
    "depthwise": nn.Sequential(nn.Conv2d(4, 8, 3, padding="same", groups=4), nn.Hardswish(), nn.Conv2d(8, 2, 1)),
    "dilated": nn.Conv2d(4, 6, 3, dilation=2, padding=(1, 2), groups=2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    "norms": nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 4, 1), nn.LayerNorm([4, 9, 12])),
    "activations": nn.Sequential(
        nn.GELU(), nn.SiLU(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.Hardsigmoid(), nn.PReLU(4), nn.Tanh(), nn.Softmax(1)
    ),
    "squeeze_excite": SqueezeExcite(4),
    "shuffle": Shuffle(),
    "transformer": Transformer(),
    "in_place": Function(in_place),
    "stochastic_depth": Function(stochastic_depth, conv=nn.Conv2d(4, 4, 3, padding=1)),
    "ceil_pool": Function(lambda _, x: F.max_pool2d(x, 2, ceil_mode=True)),
    "ceil_average": Function(lambda _, x: F.avg_pool2d(x, 2, ceil_mode=True)),
    "counted_padding": nn.AvgPool2d(3, stride=2, padding=1),
    "adaptive": nn.AdaptiveAvgPool2d((3, 4)),
    "uneven_adaptive": nn.AdaptiveAvgPool2d((4, 5)),
    "global_max": nn.AdaptiveMaxPool2d(1),
    "mean": Function(lambda _, x: x.mean([2, 3])),
    "bilinear": Function(lambda _, x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "nearest": Function(lambda _, x: F.interpolate(x, size=(18, 6))),
    "corners": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "pixels": nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(1, 3, 1)),
    "arithmetic": Function(lambda _, x: (1 - x / 3) * 2.5 + x**2 - (x - 0.5)),
    "broadcast": Function(lambda _, x: x * torch.arange(1.0, 5.0).view(1, 4, 1, 1) + torch.ones(12)),
    "layer_scale": Function(lambda m, x: x * m.scale.gamma, scale=nn.Module()),
    "slices": Function(lambda _, x: torch.cat([x[:, :, ::2, 1:7], F.pad(x, (0, -6, -4, 0))], 1)),
    "roll": Function(lambda _, x: torch.roll(x, (2, -3), (2, 3))),
    "matmul": Function(lambda _, x: x.flatten(2) @ x.flatten(2).transpose(1, 2)),
    "einsum": Function(lambda _, x: torch.einsum("bchw,bcxw->bhx", x, x)),
    "permuted_linear": Function(lambda m, x: m.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), fc=nn.Linear(4, 5)),
    "two_outputs": Function(lambda m, x: (m.conv(x), x.amax((2, 3))), conv=nn.Conv2d(4, 2, 1)),
    "unbind": Function(lambda _, x: torch.stack(x.unbind(1)[::-1], 1)),
    "windows": Function(
        lambda m, x: m.fc(x.view(1, 4, 3, 3, 2, 6).permute(0, 2, 4, 3, 5, 1).reshape(6, 18, 4)), fc=nn.Linear(4, 4)
    ),
}
NETWORKS["layer_scale"].scale.gamma = nn.Parameter(torch.ones(4, 1, 1))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "windows"])
def test_outputs_and_parameters_are_those_of_torch(name):
    assert_equal_outputs(NETWORKS[name])


def test_windows_have_the_batch_in_their_first_axis():
    module = randomised(NETWORKS["windows"])
    model = from_module(module, MAP)
    x = torch.randn(MAP)
    with torch.no_grad():
        found = network_of(model)(x.permute(0, 2, 3, 1))[model.graph.outputs[0]]
        torch.testing.assert_close(found.reshape(6, 18, 4), module(x), atol=1e-5, rtol=1e-5)


def test_sequences_and_one_dimension():
    assert_equal_outputs(nn.Sequential(nn.Conv1d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)), (1, 4, 16))
    assert_equal_outputs(nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.Softmax(-1)), (1, 5, 8))


def test_nodes_carry_the_paths_of_modules():
    block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    model = assert_equal_outputs(Function(lambda m, x: F.relu(m.layer1(x)), layer1=nn.Sequential(block, nn.ReLU())))
    assert [node.name for node in model.graph.nodes] == ["layer1.0.0", "layer1.0.1", "layer1.1", "relu"]
    assert isinstance(model.graph.by_name["layer1.0.0"].op, Conv2d)


def test_shuffles_and_attention_are_known_as_such():
    operators = [type(node.op) for node in from_module(Shuffle(), MAP).graph.nodes]
    assert ChannelShuffle in operators
    assert Transpose not in operators
    graph = from_module(Transformer(), MAP).graph
    assert [node.op.heads for node in graph.nodes if isinstance(node.op, Attention)] == [2]
    # 12 patches of 4 x 3 x 3; 13 tokens through q, k, v and the projection; the two products; the head of one token.
    assert mj.cost(graph).macs == 12 * 36 * 8 + 13 * 8 * 32 + 2 * 13 * 13 * 8 + 8 * 3
    assert sum(isinstance(node.op, Constant) for node in graph.nodes) == 2


def test_a_layer_applied_twice_is_counted_once():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    model = assert_equal_outputs(Function(lambda m, x: m.conv(F.relu(m.conv(m.conv(x)))), conv=conv))
    convolutions = [node for node in model.graph.nodes if isinstance(node.op, Conv2d)]
    assert [node.shares for node in convolutions] == ["", "conv", "conv"]
    cost = mj.cost(model)
    assert (cost.params, cost.macs) == (148, 3 * 108 * 4 * 4 * 9)
    assert cost.size_bytes == 148 * 4


def test_tied_weights_are_counted_once():
    first, second = nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
    second.weight = first.weight
    assert_equal_outputs(nn.Sequential(first, nn.ReLU(), second))


def test_what_inference_does_not_read_is_noted():
    model = from_module(Function(lambda m, x: m.conv(x), conv=nn.Conv2d(4, 2, 1), aux=nn.Linear(7, 3)), MAP)
    assert model.notes == ("24 parameters are read by no operator in inference: not counted",)
    assert mj.cost(model).params == 10


def test_an_unknown_operator_is_listed_with_its_parameters_and_not_counted():
    module = Function(lambda m, x: m.rnn(x.flatten(2).transpose(1, 2))[0][:, -1], rnn=nn.LSTM(4, 5, batch_first=True))
    model = from_module(module, MAP)
    (node,) = [node for node in model.graph.nodes if isinstance(node.op, Opaque)]
    assert node.op.operator == "lstm"
    cost = mj.cost(model)
    assert cost.not_counted == {node.name: "lstm"}
    assert cost.params == sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize("fake", [False, True], ids=["meta", "fake"])
def test_without_numbers_there_is_a_graph_of_the_same_structure(fake):
    from torch._subclasses.fake_tensor import FakeTensorMode

    def make():
        return nn.Sequential(Transformer(), nn.Linear(3, 10**6), nn.Linear(10**6, 10**5))

    if fake:
        with FakeTensorMode():
            module = make()
            program = torch.export.export(module.eval(), (torch.zeros(MAP),), strict=False)
        from millijoule.load.torch.exported import read_program

        graph = read_program(program, "net")
    else:
        with torch.device("meta"):
            graph = from_module(make(), MAP, "net")
    assert isinstance(graph, mj.Graph)
    assert mj.cost(graph).params > 10**11


def test_constant_tables_become_numbers():
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(5, 2))
            self.register_buffer("index", torch.arange(4)[:, None] - torch.arange(2) + 1)

        def forward(self, x):
            return x[:, :2, :4, :2] + self.table[self.index].permute(2, 0, 1)[None]

    model = assert_equal_outputs(Biased())
    (node,) = [node for node in model.graph.nodes if isinstance(node.op, Constant)]
    np.testing.assert_array_equal(model.weights[f"{node.name}.source0"].shape, (5, 2))
