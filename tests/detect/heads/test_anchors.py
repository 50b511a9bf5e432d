"""Anchors: against a search that knows nothing of k-means."""

from itertools import product

import numpy as np
import pytest

from millijoule.detect.heads.anchors import fit_anchors, overlaps, spread


def drawn(*groups, count=40, seed=0):
    """Sizes around each of the groups, 5 % apart."""
    random = np.random.default_rng(seed)
    return np.concatenate([np.array(group) * np.exp(random.normal(0, 0.05, (count, 2))) for group in groups])


def test_overlaps_are_those_of_boxes_that_share_their_centre():
    found = overlaps(np.array([[4.0, 2.0], [2.0, 2.0]]), np.array([[2.0, 4.0], [4.0, 2.0]]))
    assert found == pytest.approx(np.array([[4 / 12, 1.0], [4 / 8, 4 / 8]]))


def test_groups_are_found_smallest_first_whatever_the_seed():
    sizes = drawn((60, 50), (10, 12), (30, 12))
    for seed in range(5):
        found = np.array(fit_anchors(sizes, 3, seed))
        np.testing.assert_allclose(found, [(10, 12), (30, 12), (60, 50)], rtol=0.05)


def test_no_two_of_the_sizes_serve_better():
    """Brute force over all pairs of sizes; a cluster's median may be better than any size, hardly worse."""
    sizes = np.random.default_rng(1).uniform(5, 60, (40, 2)).round()

    def served(anchors):
        return overlaps(sizes, np.array(anchors)).max(axis=1).mean()

    best = max(served(pair) for pair in product(sizes, sizes))
    reached = max(served(fit_anchors(sizes, 2, seed)) for seed in range(5))
    assert reached >= best - 0.01
    assert served([sizes.mean(axis=0)] * 2) < best - 0.1


def test_sizes_are_compared_by_their_ratio():
    """Plain k-means would take one anchor for 8 and 16, and two for 100 and 124."""
    anchors = np.array(fit_anchors(drawn((8, 8), (16, 16), (100, 100), (124, 124)), 3))
    np.testing.assert_allclose(anchors[:2], [(8, 8), (16, 16)], rtol=0.05)
    assert 95 < anchors[2, 0] < 130


def test_too_few_sizes():
    with pytest.raises(ValueError, match="there are 2 different sizes of boxes for 3 anchors"):
        fit_anchors(np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]), 3)


def test_without_boxes_anchors_are_squares_of_some_cells():
    assert spread((8, 16), 2) == ((16.0, 16.0), (32.0, 32.0), (32.0, 32.0), (64.0, 64.0))
