"""Random annotated and found boxes, as a network finds them: on annotated ones, beside, twice, or nowhere."""

import numpy as np

from millijoule.boxes import Boxes


def some_boxes(seed, images=12, classes=3, most=9, side=256, crowds=True, ties=True):
    """(found, truth), an image each; corners are whole numbers, so that every way to compute overlaps agrees."""
    random = np.random.RandomState(seed)  # its stream never changes
    found, truth = [], []
    for _ in range(images):
        count = int(random.randint(0, most))
        start = random.randint(0, side - 2, (count, 2))
        size = np.exp(random.uniform(np.log(2), np.log(side), (count, 2))).astype(int)
        corners = np.concatenate([start, np.minimum(start + size, side)], axis=1).reshape(count, 4)
        labels = random.randint(0, classes, count)
        truth.append(Boxes.of(corners, labels, difficult=(random.random_sample(count) < 0.2) & crowds))

        again = random.randint(0, count, 3 * count) if count else np.zeros(0, int)
        near = corners[again] + np.round(random.normal(0, 0.08, (len(again), 4)) * np.tile(size[again], 2))
        nowhere = random.randint(0, side // 2, (int(random.randint(0, most)), 4))
        nowhere[:, 2:] += side // 2
        boxes = np.concatenate([near, nowhere])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        named = np.where(random.random_sample(len(again)) < 0.9, labels[again], random.randint(0, classes, len(again)))
        scores = random.random_sample(len(boxes))
        found.append(
            Boxes.of(
                boxes,
                np.concatenate([named, random.randint(0, classes, len(nowhere))]),
                np.round(scores, 1) if ties else scores,
            )
        )
    return found, truth
