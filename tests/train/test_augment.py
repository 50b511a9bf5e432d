"""Random changes to batches: each against what it must do to an image."""

import numpy as np
import pytest

from millijoule.train.loop import Settings
from millijoule.train.loop.augment import augmented, cut_out, flipped, flips_first, recoloured, shifted
from tests.train.cases import stripes

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 7, 9, 3), dtype=np.uint8)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def settings(**changes) -> Settings:
    return Settings(epochs=1, batch_size=1, learning_rate=0.1, **changes)


def test_shifted_images_move_in_every_direction_and_their_mirror_image_moves_in():
    image = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1)
    found = shifted(np.repeat(image, 400, axis=0), 1, random())
    assert found.dtype == np.uint8
    padded = np.pad(image[0, :, :, 0], 1, mode="reflect")
    possible = {padded[row : row + 5, column : column + 5].tobytes() for row in range(3) for column in range(3)}
    assert {moved[:, :, 0].tobytes() for moved in found} == possible


def test_no_shift_is_no_change():
    images = stripes().x_train
    assert shifted(images, 0, random()) is images


def test_flipped_images_are_mirrored_left_to_right_and_others_stay():
    which = np.arange(40) % 3 == 0
    found = flipped(IMAGES, which)
    assert np.array_equal(found[which], IMAGES[which, :, ::-1])
    assert np.array_equal(found[~which], IMAGES[~which])


def test_each_image_is_mirrored_in_every_second_epoch_half_of_them_in_each():
    first = flips_first(np.arange(10_000), seed=0)
    assert set(first.tolist()) == {0, 1}
    assert abs(first.mean() - 0.5) < 0.02
    indices = np.arange(40)
    epochs = [augmented(IMAGES, indices, epoch, settings(flip=True), random()) for epoch in range(3)]
    mirrored = [np.all(images == IMAGES[:, :, ::-1], axis=(1, 2, 3)) for images in epochs]
    assert np.array_equal(mirrored[0], ~mirrored[1])
    assert np.array_equal(mirrored[0], mirrored[2])
    assert 5 < mirrored[0].sum() < 35


def test_a_cut_out_square_has_the_mean_of_its_image():
    found = cut_out(IMAGES, 4, random())
    changed = np.any(found != IMAGES, axis=3)
    for image, original, where in zip(found, IMAGES, changed, strict=True):
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        assert 2 <= len(rows) <= 4
        assert 2 <= len(columns) <= 4
        square = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.all(square == np.round(original.reshape(-1, 3).mean(axis=0)))
    assert len({tuple(np.argwhere(where)[0]) for where in changed}) > 10


def test_colours_change_by_factors_within_the_strength():
    grey = np.full((200, 4, 4, 3), 100, np.uint8)
    found = recoloured(grey, 0.2, random())  # of an even image only brightness is left
    assert found.dtype == np.uint8
    assert 80 <= found.min() < 85
    assert 115 < found.max() <= 120
    assert np.array_equal(recoloured(IMAGES, 0.0, random()), IMAGES)
    assert recoloured(IMAGES[..., :1], 0.5, random()).shape == (40, 7, 9, 1)


def test_saturation_keeps_the_mean_of_a_pixel_and_contrast_that_of_an_image():
    images = np.clip(IMAGES, 100, 150)
    found = recoloured(images, 0.1, random()).astype(np.float64)
    ratio = found.mean(axis=(1, 2, 3)) / images.mean(axis=(1, 2, 3))
    assert np.all((ratio > 0.899) & (ratio < 1.101))
    greys = images.astype(np.float64).mean(axis=3)
    for before, after, brightness in zip(greys, found.mean(axis=3), ratio, strict=True):
        slope = np.polyfit(before.ravel(), after.ravel(), 1)[0] / brightness
        assert 0.88 < slope < 1.12


@pytest.mark.parametrize("change", [{"shift": 1}, {"flip": True}, {"cutout": 3}, {"colour": 0.3}])
def test_augmentation_changes_a_copy_and_depends_on_the_seed_alone(change):
    before = IMAGES.copy()
    first, again, other = (augmented(IMAGES, np.arange(40), 0, settings(**change), random(seed)) for seed in (1, 1, 2))
    assert np.array_equal(IMAGES, before)
    assert not np.array_equal(first, IMAGES)
    assert np.array_equal(first, again)
    assert change == {"flip": True} or not np.array_equal(first, other)
