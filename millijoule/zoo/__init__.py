"""Known architectures, one paper in a file, without weights: `zoo.lenet5(classes=10)` is a Graph."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.zoo.compact.efficientnet_lite0 import efficientnet_lite0
from millijoule.zoo.compact.mobilenet_v1 import mobilenet_v1
from millijoule.zoo.compact.mobilenet_v2 import mobilenet_v2
from millijoule.zoo.compact.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from millijoule.zoo.compact.proxylessnas import proxylessnas_mobile
from millijoule.zoo.compact.shufflenet_v1 import shufflenet_v1
from millijoule.zoo.compact.shufflenet_v2 import shufflenet_v2
from millijoule.zoo.compact.squeezenet import squeezenet1_0, squeezenet1_1
from millijoule.zoo.entry import Entry, Published
from millijoule.zoo.history.deep_belief import deep_belief
from millijoule.zoo.history.lenet5 import lenet5
from millijoule.zoo.history.lenet5_1998 import codes, lenet5_1998
from millijoule.zoo.history.multilayer import multilayer
from millijoule.zoo.history.perceptron import perceptron
from millijoule.zoo.history.two_layer import two_layer
from millijoule.zoo.imagenet.airbench import airbench94
from millijoule.zoo.imagenet.alexnet import alexnet, alexnet_torchvision
from millijoule.zoo.imagenet.densenet import densenet121, densenet169, densenet201
from millijoule.zoo.imagenet.nin import nin
from millijoule.zoo.imagenet.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from millijoule.zoo.imagenet.resnet_cifar import resnet20, resnet32, resnet44, resnet56, resnet110
from millijoule.zoo.imagenet.vgg import vgg11, vgg13, vgg16, vgg19
from millijoule.zoo.inception.googlenet import googlenet, googlenet_torchvision
from millijoule.zoo.inception.inception_resnet_v2 import inception_resnet_v2
from millijoule.zoo.inception.inception_v3 import inception_v3
from millijoule.zoo.inception.xception import xception
from millijoule.zoo.tiny.autoencoder import autoencoder
from millijoule.zoo.tiny.ds_cnn import ds_cnn
from millijoule.zoo.tiny.mcunet_vww import mcunet_vww
from millijoule.zoo.tiny.mobilenet_v1_025 import mobilenet_v1_025
from millijoule.zoo.tiny.resnet8 import resnet8

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Entry",
    "Published",
    "airbench94",
    "alexnet",
    "alexnet_torchvision",
    "autoencoder",
    "constants",
    "deep_belief",
    "densenet121",
    "densenet169",
    "densenet201",
    "ds_cnn",
    "efficientnet_lite0",
    "entries",
    "get",
    "googlenet",
    "googlenet_torchvision",
    "inception_resnet_v2",
    "inception_v3",
    "lenet5",
    "lenet5_1998",
    "mcunet_vww",
    "mobilenet_v1",
    "mobilenet_v1_025",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "multilayer",
    "nin",
    "perceptron",
    "proxylessnas_mobile",
    "resnet8",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "shufflenet_v1",
    "shufflenet_v2",
    "squeezenet1_0",
    "squeezenet1_1",
    "two_layer",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "xception",
]

_LENET = "LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11)"
_BACKPROPAGATION = "Rumelhart et al., Learning representations by back-propagating errors, Nature 323"
_VGG = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR"
_GOOGLENET = "Szegedy et al., Going deeper with convolutions, CVPR"
_RESNET = "He et al., Deep residual learning for image recognition, CVPR"
_DENSENET = "Huang et al., Densely connected convolutional networks, CVPR"
_SQUEEZENET = "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"
_MOBILENET_V3 = "Howard et al., Searching for MobileNetV3, ICCV"
_MLPERF_TINY = "Banbury et al., MLPerf Tiny Benchmark, NeurIPS Datasets and Benchmarks"
_TORCHVISION = "torchvision 0.29, metadata of the weights (MACs to three digits)"

_ENTRIES = (
    Entry(
        perceptron,
        "Perceptron",
        "Rosenblatt, The perceptron: a probabilistic model for information storage, Psychological Review 65",
        1958,
    ),
    Entry(two_layer, "Two-layer network, sigmoid", _BACKPROPAGATION, 1986),
    Entry(multilayer, "Multi-layer network, sigmoid", _BACKPROPAGATION, 1986),
    Entry(
        lenet5_1998,
        "LeNet-5 as published",
        _LENET,
        1998,
        Published(60_000, None, "the paper, section II.B"),
        constants=codes,
    ),
    Entry(
        lenet5,
        "LeNet-5, modern form",
        _LENET,
        1998,
        Published(61_706, 416_520, "counted by nine tools alike, all of C3 connected"),
    ),
    Entry(
        deep_belief,
        "Deep belief network",
        "Hinton et al., A fast learning algorithm for deep belief nets, Neural Computation 18",
        2006,
    ),
    Entry(
        alexnet,
        "AlexNet as published, two groups",
        "Krizhevsky et al., ImageNet classification with deep convolutional neural networks, NeurIPS",
        2012,
        Published(60_965_224, 724_406_816, "BVLC Caffe, bvlc_alexnet/deploy.prototxt"),
    ),
    Entry(
        alexnet_torchvision,
        "AlexNet in one tower",
        "Krizhevsky, One weird trick for parallelizing convolutional neural networks",
        2014,
        Published(61_100_840, 714_000_000, _TORCHVISION),
    ),
    Entry(
        nin,
        "Network in network",
        "Lin et al., Network in network, ICLR",
        2014,
        Published(7_595_176, 1_100_188_800, "dgschwend/netscope, presets/nin.prototxt"),
    ),
    Entry(vgg11, "VGG-11", _VGG, 2015, Published(132_863_336, 7_609_000_000, _TORCHVISION)),
    Entry(vgg13, "VGG-13", _VGG, 2015, Published(133_047_848, 11_308_000_000, _TORCHVISION)),
    Entry(vgg16, "VGG-16", _VGG, 2015, Published(138_357_544, 15_470_000_000, _TORCHVISION)),
    Entry(vgg19, "VGG-19", _VGG, 2015, Published(143_667_240, 19_632_000_000, _TORCHVISION)),
    Entry(
        googlenet,
        "GoogLeNet",
        _GOOGLENET,
        2015,
        Published(6_998_552, 1_582_671_872, "BVLC Caffe, bvlc_googlenet/deploy.prototxt"),
    ),
    Entry(
        googlenet_torchvision,
        "GoogLeNet with batch-norm",
        _GOOGLENET,
        2015,
        Published(6_624_904, 1_498_000_000, _TORCHVISION),
    ),
    Entry(resnet18, "ResNet-18", _RESNET, 2016, Published(11_689_512, 1_814_000_000, _TORCHVISION)),
    Entry(resnet34, "ResNet-34", _RESNET, 2016, Published(21_797_672, 3_664_000_000, _TORCHVISION)),
    Entry(resnet50, "ResNet-50", _RESNET, 2016, Published(25_557_032, 4_089_000_000, _TORCHVISION)),
    Entry(resnet101, "ResNet-101", _RESNET, 2016, Published(44_549_160, 7_801_000_000, _TORCHVISION)),
    Entry(resnet152, "ResNet-152", _RESNET, 2016, Published(60_192_808, 11_514_000_000, _TORCHVISION)),
    Entry(resnet20, "ResNet-20 for CIFAR-10", _RESNET, 2016, Published(270_000, None, "the paper, Table 6")),
    Entry(resnet32, "ResNet-32 for CIFAR-10", _RESNET, 2016, Published(460_000, None, "the paper, Table 6")),
    Entry(resnet44, "ResNet-44 for CIFAR-10", _RESNET, 2016, Published(660_000, None, "the paper, Table 6")),
    Entry(resnet56, "ResNet-56 for CIFAR-10", _RESNET, 2016, Published(850_000, None, "the paper, Table 6")),
    Entry(resnet110, "ResNet-110 for CIFAR-10", _RESNET, 2016, Published(1_700_000, None, "the paper, Table 6")),
    Entry(densenet121, "DenseNet-121", _DENSENET, 2017, Published(7_978_856, 2_834_000_000, _TORCHVISION)),
    Entry(densenet169, "DenseNet-169", _DENSENET, 2017, Published(14_149_480, 3_360_000_000, _TORCHVISION)),
    Entry(densenet201, "DenseNet-201", _DENSENET, 2017, Published(20_013_928, 4_291_000_000, _TORCHVISION)),
    Entry(
        inception_v3,
        "Inception-v3",
        "Szegedy et al., Rethinking the inception architecture for computer vision, CVPR",
        2016,
        Published(
            23_834_568,
            5_713_216_096,
            "dgschwend/netscope, presets/inceptionv3.prototxt",
        ),
    ),
    Entry(
        inception_resnet_v2,
        "Inception-ResNet-v2",
        "Szegedy et al., Inception-v4, Inception-ResNet and the impact of residual connections, AAAI",
        2017,
        Published(55_843_464, 13_155_790_000, "timm, inception_resnet_v2"),
    ),
    Entry(
        xception,
        "Xception",
        "Chollet, Xception: deep learning with depthwise separable convolutions, CVPR",
        2017,
        Published(22_855_952, 8_357_400_000, "the paper, Table 3; MACs of timm's legacy_xception"),
    ),
    Entry(squeezenet1_0, "SqueezeNet 1.0", _SQUEEZENET, 2016, Published(1_248_424, 819_000_000, _TORCHVISION)),
    Entry(squeezenet1_1, "SqueezeNet 1.1", _SQUEEZENET, 2016, Published(1_235_496, 349_000_000, _TORCHVISION)),
    Entry(
        mobilenet_v1,
        "MobileNetV1",
        "Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications",
        2017,
        Published(4_200_000, 569_000_000, "the paper, Table 8"),
    ),
    Entry(
        mobilenet_v2,
        "MobileNetV2",
        "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, CVPR",
        2018,
        Published(3_504_872, 301_000_000, _TORCHVISION),
    ),
    Entry(
        mobilenet_v3_large, "MobileNetV3, large", _MOBILENET_V3, 2019, Published(5_483_032, 217_000_000, _TORCHVISION)
    ),
    Entry(
        mobilenet_v3_small, "MobileNetV3, small", _MOBILENET_V3, 2019, Published(2_542_856, 57_000_000, _TORCHVISION)
    ),
    Entry(
        shufflenet_v1,
        "ShuffleNet v1, 3 groups",
        "Zhang et al., ShuffleNet: an extremely efficient convolutional neural network for mobile devices, CVPR",
        2018,
        Published(1_865_728, 137_000_000, "megvii-model/ShuffleNet-Series; the paper, Table 1"),
    ),
    Entry(
        shufflenet_v2,
        "ShuffleNet v2",
        "Ma et al., ShuffleNet V2: practical guidelines for efficient CNN architecture design, ECCV",
        2018,
        Published(2_278_604, 145_000_000, _TORCHVISION),
    ),
    Entry(
        proxylessnas_mobile,
        "ProxylessNAS, mobile",
        "Cai et al., ProxylessNAS: direct neural architecture search on target task and hardware, ICLR",
        2019,
        Published(4_080_512, None, "pytorchcv, proxylessnas_mobile"),
    ),
    Entry(
        efficientnet_lite0,
        "EfficientNet-Lite0",
        "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML",
        2019,
        Published(4_652_008, None, "timm, efficientnet_lite0"),
    ),
    Entry(
        mcunet_vww,
        "MCUNet: visual wake words",
        "Lin et al., MCUNet: tiny deep learning on IoT devices, NeurIPS",
        2020,
        Published(None, 11_578_816, "counted in mit-han-lab/tinyengine's vww.tflite"),
    ),
    Entry(
        airbench94,
        "airbench94: CIFAR-10 in ten passes",
        "Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498",
        2024,
        Published(1_972_792, None, "KellerJordan/cifar10-airbench, legacy/airbench94.py: its arrays counted"),
    ),
    Entry(resnet8, "ResNet-8: image classification", _MLPERF_TINY, 2021),
    Entry(mobilenet_v1_025, "MobileNetV1 0.25: visual wake words", _MLPERF_TINY, 2021),
    Entry(ds_cnn, "DS-CNN: keyword spotting", _MLPERF_TINY, 2021),
    Entry(autoencoder, "Autoencoder: anomaly detection", _MLPERF_TINY, 2021),
)


def entries() -> tuple[Entry, ...]:
    """Every network of the zoo, by age as far as families allow."""
    return _ENTRIES


def get(name: str, **arguments: Any) -> Graph:
    """The graph of the network called `name`.

    Raises ModelError if there is no such network, or if it does not take these arguments.
    """
    entry = _entry(name)
    for argument in arguments:
        if argument not in entry.arguments:
            takes = f"it takes {', '.join(entry.arguments)}" if entry.arguments else "it takes none"
            raise ModelError(f"network '{name}' has no argument '{argument}'; {takes}")
    try:
        return entry.function(**arguments)
    except ValueError as error:
        given = ", ".join(f"{argument}={value!r}" for argument, value in arguments.items())
        raise ModelError(f"network '{name}' with {given}: {error}") from None


def constants(graph: Graph | str) -> dict[str, np.ndarray]:
    """The arrays of a graph, or of the network so called, that its architecture fixes: `node.array` → float32.

    Empty for a network that has none, and for a graph that is not of the zoo.
    """
    if isinstance(graph, str):
        return _entry(graph).constants()
    params = graph.params()
    return {
        name: array
        for entry in _ENTRIES
        if entry.name == graph.name
        for name, array in entry.constants().items()
        if name in params and params[name].kind == "constant" and params[name].shape == array.shape
    }


def _entry(name: str) -> Entry:
    for entry in _ENTRIES:
        if entry.name == name:
            return entry
    names = [entry.name for entry in _ENTRIES]
    near = get_close_matches(name, names, n=3)
    others = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
    raise ModelError(f"there is no network '{name}' in the zoo; {others}")
