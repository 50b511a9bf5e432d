"""How often to repeat, and how sure a median is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from time import perf_counter

LEAST_REPEATS = 8
CONFIDENCE = 0.95


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(median, low, high): the interval between two of the sorted values that holds the median of what they are
    drawn from with at least `confidence`, whatever their distribution (Conover 1999, section 3.2: the number of values
    below the median is binomial). With fewer than 6 values no interval can: then the least and the largest.
    """
    ordered = sorted(values)
    count = len(ordered)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    outside, left_out = 0.0, 0
    while True:
        outside += comb(count, left_out) / 2**count
        if 2 * outside > 1 - confidence or left_out >= (count - 1) // 2:
            break
        left_out += 1
    at = max(left_out - 1, 0)
    return median, ordered[at], ordered[count - 1 - at]


def repeat(
    run: Callable[[], object],
    least_seconds: float,
    most_seconds: float,
    wanted: float,
    clock: Callable[[], float] = perf_counter,
) -> list[float]:
    """Seconds of each call of `run`: until the median's interval is within ± `wanted` of it, at least LEAST_REPEATS
    calls and `least_seconds`, at most `most_seconds` once LEAST_REPEATS are done."""
    begin, times = clock(), list[float]()
    while True:
        start = clock()
        run()
        end = clock()
        times.append(end - start)
        if len(times) < LEAST_REPEATS or end - begin < least_seconds:
            continue
        if end - begin >= most_seconds:
            return times
        # Sorting after every call of a small network would cost more than the network.
        if len(times) & (len(times) - 1) == 0 or len(times) % 64 == 0:
            median, low, high = median_interval(times)
            if max(high - median, median - low) <= wanted * median:
                return times
