"""Images as a network's input."""

import re

import numpy as np
import pytest

from millijoule.errors import DataError
from millijoule.train.prepare import fit, measure_preprocess, normalise, prepare, resize


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_slightly_smaller_images_are_centred_on_the_background():
    x = images(2, 28, 29, 1)
    fitted = fit(x, (32, 32, 1))
    assert np.array_equal(fitted[:, 2:30, 1:30], x)
    assert fitted.sum() == x.sum(dtype=np.int64)


def test_images_of_the_right_size_stay():
    x = images(2, 9, 7, 3)
    assert np.array_equal(fit(x, (9, 7, 3)), x)


@pytest.mark.parametrize("size", [(8, 8), (40, 20), (27, 32)])
def test_other_sizes_are_resized(size):
    assert fit(np.full((1, *size, 1), 77, np.uint8), (32, 32, 1)).tolist() == np.full((1, 32, 32, 1), 77).tolist()


def test_resizing_interpolates_between_neighbours():
    row = np.array([[0, 100]], np.uint8)[None, :, :, None]
    assert resize(row, (1, 4)).reshape(-1).tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_each_channel_is_resized_alone(channels):
    x = images(3, 9, 12, channels)
    alone = [resize(np.ascontiguousarray(x[..., [channel]]), (6, 15)) for channel in range(channels)]
    assert np.array_equal(resize(x, (6, 15)), np.concatenate(alone, axis=3))


def test_colour_becomes_luma_and_grey_becomes_three_channels():
    primaries = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8).reshape(1, 2, 2, 3)
    assert fit(primaries, (2, 2, 1)).reshape(-1).tolist() == [76, 150, 29, 9]
    assert fit(primaries[..., :1], (2, 2, 3))[0, 0, 0].tolist() == [255, 255, 255]
    with pytest.raises(DataError, match="images have 3 channels, the network's input has 2"):
        fit(primaries, (2, 2, 2))


def test_flat_inputs_take_images_with_as_many_pixels():
    assert prepare(images(3, 8, 8, 1), (64,), {}).shape == (3, 64)
    with pytest.raises(DataError, match=re.escape("images of 8×8×1 have 64 numbers; the network takes 784")):
        prepare(images(3, 8, 8, 1), (784,), {})


def test_normalisation_is_per_channel():
    x = np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3)
    normal = normalise(x, {"mean": [0.0, 0.5, 0.2], "std": [1.0, 0.25, 0.1]})
    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal.reshape(-1), [0.0, 2.0, 0.0], atol=1e-6)


def test_measured_preprocess_centres_all_channels_alike():
    x = images(20, 5, 5, 3) // 2
    preprocess = measure_preprocess(x, (5, 5, 3))
    assert preprocess["mean"] == [round(x.mean()) / 255] * 3
    np.testing.assert_allclose(preprocess["std"], [x.std() / 255] * 3, rtol=1e-3)
    assert normalise(x, preprocess).std() == pytest.approx(1, abs=1e-3)


def test_black_images_do_not_divide_by_zero():
    black = np.zeros((1, 2, 2, 1), np.uint8)
    assert not prepare(black, (2, 2, 1), measure_preprocess(black, (2, 2, 1))).any()
