"""Detectors in the graph: which maps they read, what they give, and that everything behind takes them."""

import numpy as np
import pytest

from millijoule import zoo
from millijoule.cost import cost
from millijoule.detect.heads import HEADS, centre, ssdlite
from millijoule.detect.heads.backbone import backbone
from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.ops import Conv2d
from millijoule.passes import simplify
from millijoule.plan import plan


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        # SSD-lite reads the expansion of the last block of a stride (Sandler et al. 2018, section 6.2).
        ("mobilenet_v2", ["block7_expand_relu6", "block14_expand_relu6", "block17_project_norm"]),
        ("mobilenet_v1-0.25", ["block5_pointwise_relu", "block11_pointwise_relu", "block13_pointwise_relu"]),
        ("resnet18", ["stage2_block2_relu", "stage3_block2_relu", "stage4_block2_relu"]),
        ("shufflenet_v2-0.5", ["stage2_unit4_shuffle", "stage3_unit8_shuffle", "stage4_unit4_shuffle"]),
        # Not a branch of the inception block that halves the map, but what all branches read.
        ("googlenet", ["3b_concat", "4e_concat", "5b_concat"]),
        ("densenet121", ["transition2_conv", "transition3_conv", "final_relu"]),
    ],
)
def test_the_maps_are_the_last_that_all_goes_through(name, maps):
    graph = backbone(name, (64, 96), (8, 16, 32))
    assert list(graph.outputs) == maps
    assert [graph.shapes[each][:2] for each in maps] == [(8, 12), (4, 6), (2, 3)]
    assert graph.nodes[-1].name == maps[-1], "the classifier is gone"


def test_with_fewer_strides_the_backbone_ends_earlier():
    graph = backbone("mobilenet_v2-0.35", (96, 96), (8,))
    assert graph.outputs == ("block6_add",), "the widening convolution behind it is left out"
    assert cost(graph).params < 0.2 * cost(backbone("mobilenet_v2-0.35", (96, 96), (8, 16, 32))).params


def test_a_width_is_the_zoos():
    narrow, same = (
        backbone("mobilenet_v2-0.35", (64, 64), (8, 16)),
        zoo.mobilenet_v2(width=0.35, input_shape=(64, 64, 3)),
    )
    for node in narrow.nodes:
        assert same.by_name[node.name].op == node.op


@pytest.mark.parametrize(
    ("name", "image", "words"),
    [
        (
            "lenet5",
            (32, 32),
            "backbone 'lenet5' has no map of 4×4, stride 8, for an image of 32×32; it has 32×32, 28×28",
        ),
        ("resnet8", (64, 64), "no map of 8×8, stride 8"),
        ("lenet5_1998", (32, 32), "takes images of one size only"),
        ("resnet18-0.5", (64, 64), "network 'resnet18' has no width; give 'resnet18'"),
        ("mobilenet_v2-wide", (64, 64), "'wide' is no width, as in mobilenet_v2-0.35"),
        ("mobilenet_v2-0", (64, 64), "the width must be more than 0"),
        ("mobilenet_v9", (64, 64), "there is no network 'mobilenet_v9' in the zoo; did you mean"),
        ("mobilenet_v2", (64, 70), "64×70 has no whole cells of 16 pixels: choose 64 in place of 70"),
    ],
)
def test_what_cannot_carry_a_detector(name, image, words):
    with pytest.raises(ModelError) as error:
        ssdlite(backbone=name, image=image, strides=(8, 16))
    assert words in str(error.value)


def test_strides_double():
    for strides in ((8, 32), (16, 8), ()):
        with pytest.raises(ModelError, match="each must be twice the one before"):
            centre(strides=strides)


def test_ssdlite_has_scores_and_boxes_of_every_anchor_of_every_level():
    sizes = np.array([(w, w + 4) for w in range(8, 50)], float)
    detector = ssdlite(backbone="mobilenet_v1-0.25", image=(64, 96), classes=3, anchors=2, sizes=sizes)
    shapes = {name: detector.graph.shapes[name] for name in detector.graph.outputs}
    assert shapes == {
        "scores_0": (8, 12, 6), "boxes_0": (8, 12, 8),
        "scores_1": (4, 6, 6), "boxes_1": (4, 6, 8),
        "scores_2": (2, 3, 6), "boxes_2": (2, 3, 8),
    }  # fmt: skip
    detector.boxes.check(shapes)
    areas = [w * h for level in detector.boxes.levels for w, h in level.anchors]
    assert areas == sorted(areas)
    assert [level.step for level in detector.boxes.levels] == [8, 16, 32]


def test_centre_looks_at_the_finest_map_alone():
    sizes = np.array([(10, 20), (12, 24), (40, 80)], float)
    detector = centre(backbone="mobilenet_v1-0.25", image=(64, 64), classes=3, strides=(8, 16), sizes=sizes)
    assert {name: detector.graph.shapes[name] for name in detector.graph.outputs} == {
        "scores_0": (8, 8, 3), "boxes_0": (8, 8, 4),
    }  # fmt: skip
    assert detector.boxes.peaks
    assert detector.boxes.levels[0].anchors == ((12.0, 24.0),)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_outputs_are_plain_convolutions_and_the_planner_takes_them(head):
    """At the defaults, most memory is needed by block 2's depthwise convolution: 48 channels, 80 × 80 to 40 × 40."""
    graph: Graph = simplify(head().graph)
    for output in graph.outputs:
        op = graph.by_name[output].op
        assert isinstance(op, Conv2d)
        assert (op.kernel, op.bias, op.activation) == ((1, 1), True, "none")
    assert plan(graph).arena_bytes == 48 * (80 * 80 + 40 * 40)
