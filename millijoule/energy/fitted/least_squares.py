"""Sums of terms whose coefficients are 0 or more: a term cannot give time, energy or instructions back."""

from __future__ import annotations

from collections.abc import Sequence


def fit(rows: Sequence[Sequence[float]], targets: Sequence[float]) -> list[float]:
    """Coefficients of 0 or more with the least squares of *relative* errors of the rows' weighted sums.

    Terms whose coefficient would be below 0 are left out, the lowest first.
    """
    import numpy as np

    scaled = np.asarray(rows, dtype=float) / np.asarray(targets, dtype=float)[:, None]
    kept = list(range(scaled.shape[1]))
    coefficients = np.zeros(scaled.shape[1])
    while kept:
        found = np.linalg.lstsq(scaled[:, kept], np.ones(len(scaled)), rcond=None)[0]
        if found.min() >= 0:
            coefficients[kept] = found
            break
        del kept[int(found.argmin())]
    return coefficients.tolist()


def evaluate(coefficients: Sequence[float], row: Sequence[float]) -> float:
    return sum(each * value for each, value in zip(coefficients, row, strict=True))
