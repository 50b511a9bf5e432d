"""Losses: against the formulas, worked out by hand in float64."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from millijoule.boxes import BoxCoding, Level  # noqa: E402
from millijoule.detect.training import losses  # noqa: E402
from millijoule.detect.training.detection import decoded, encoded  # noqa: E402


def test_focal_loss_of_single_scores():
    """-alpha_t (1 - p_t)² log p_t: a score of 0.9 for an object costs 0.25 · 0.1² · -log 0.9."""
    p = np.array([0.9, 0.9, 0.2, 0.5])
    logits = torch.from_numpy(np.log(p / (1 - p)))
    found = losses.focal(logits, torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    expected = [
        0.25 * 0.01 * -np.log(0.9), 0.75 * 0.81 * -np.log(0.1), 0.75 * 0.04 * -np.log(0.8), 0.25 * 0.25 * -np.log(0.5),
    ]  # fmt: skip
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_focal_loss_of_centre_points():
    """At a peak as above with alpha 1; beside it weighted by (1 - heat)⁴."""
    p = np.array([0.9, 0.9, 0.9])
    logits = torch.from_numpy(np.log(p / (1 - p)))
    found = losses.peak_focal(logits, torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64))
    expected = [0.01 * -np.log(0.9), 0.5**4 * 0.81 * -np.log(0.1), 0.81 * -np.log(0.1)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        # Common 1, union 7, hull 9.
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7 - 2 / 9),
        # Apart: union 2, hull 10.
        ((0, 0, 1, 1), (9, 0, 10, 1), 0 - 8 / 10),
        # One inside the other: common 1, union and hull 4.
        ((0, 0, 2, 2), (0, 0, 1, 1), 1 / 4),
    ],
)
def test_generalised_overlap_of_two_boxes(first, second, expected):
    found = losses.giou(torch.tensor([first], dtype=torch.float64), torch.tensor([second], dtype=torch.float64))
    assert found.tolist() == pytest.approx([expected])


def test_the_gradient_of_generalised_overlap_brings_distant_boxes_nearer():
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    (1 - losses.giou(box, torch.tensor([[9.0, 0.0, 10.0, 1.0]]))).sum().backward()
    assert box.grad is not None
    assert box.grad[0, 2] < 0, "the right side should move right"


def test_smooth_l1_is_quadratic_near_zero_and_linear_beyond():
    found = losses.smooth_l1(torch.tensor([[0.5, -3.0, 0.0, 1.0]]), torch.zeros(1, 4))
    assert found.tolist() == pytest.approx([0.125 + 2.5 + 0 + 0.5])


def test_the_three_times_as_many_worst_negatives_count():
    """One object among ten anchors: itself, the three negatives with the largest scores, nothing that is ignored."""
    logits = torch.tensor([[[0.0], [3.0], [1.0], [-1.0], [2.0], [-2.0], [9.0], [-3.0], [-4.0], [-5.0]]])
    targets = torch.zeros(1, 10, 1)
    targets[0, 0] = 1
    counts = torch.ones(1, 10, dtype=torch.bool)
    counts[0, 6] = False
    found = losses.hard_negatives(logits, targets, counts)[0, :, 0].numpy()
    assert np.flatnonzero(found).tolist() == [0, 1, 2, 4]
    assert found[0] == pytest.approx(np.log(2))
    assert found[1] == pytest.approx(np.log1p(np.exp(3.0)))


def test_an_image_without_objects_still_has_a_hard_negative():
    logits = torch.arange(10.0).reshape(1, 10, 1)
    found = losses.hard_negatives(logits, torch.zeros(1, 10, 1), torch.ones(1, 10, dtype=torch.bool))
    assert np.flatnonzero(found[0, :, 0].numpy()).tolist() == [9]


def test_offsets_become_boxes_as_the_coding_says_and_back():
    """Anchor 10 × 20 at (40, 60): dx = 2 moves by 2 · 0.1 · 10, dh = 5 log 2 doubles the height at 0.2."""
    coding = BoxCoding((Level("s", "b", 1, 1, 8, ((10, 20),)),), (100, 100), 1)
    anchors = torch.tensor([[40.0, 60.0, 10.0, 20.0]])
    offsets = torch.tensor([[2.0, -1.0, 0.0, 5 * np.log(2)]], dtype=torch.float32)
    corners = decoded(coding, anchors, offsets)
    np.testing.assert_allclose(corners.numpy(), [[37, 38, 47, 78]], rtol=1e-6)
    np.testing.assert_allclose(encoded(coding, anchors, corners).numpy(), offsets.numpy(), atol=1e-5)
