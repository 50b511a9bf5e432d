"""How sure a median is, and when there are enough repeats."""

import random
from math import comb

import pytest

from millijoule.measure.timing import LEAST_REPEATS, median_interval, repeat


def test_the_interval_is_that_of_published_tables():
    # Order statistics with at least 95 % confidence (Conover 1999, table A3's binomial with p = 1/2).
    for count, low, high in ((6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (20, 6, 15), (50, 18, 33)):
        assert median_interval([float(value) for value in range(1, count + 1)])[1:] == (low, high)


@pytest.mark.parametrize("count", range(6, 40))
def test_the_interval_is_the_narrowest_that_is_sure_enough(count):
    _, low, _ = median_interval([float(value) for value in range(count)])

    def outside(left_out):
        return 2 * sum(comb(count, number) for number in range(left_out + 1)) / 2**count

    assert outside(int(low)) <= 0.05
    assert outside(int(low) + 1) > 0.05


def test_the_interval_holds_the_median_as_often_as_it_says():
    draw = random.Random(1)
    held = 0
    for _ in range(2000):
        _, low, high = median_interval([draw.expovariate(1.0) for _ in range(15)])
        held += low <= 0.6931471805599453 <= high
    assert 0.94 <= held / 2000 <= 0.985


def test_the_median_of_an_even_number():
    assert median_interval([4.0, 1.0, 3.0, 2.0])[0] == 2.5


class Clock:
    """A clock that every run moves by the next of `seconds`."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, iter(seconds)

    def run(self):
        self.now += next(self.seconds)

    def __call__(self):
        return self.now


def test_stops_once_the_median_is_sure():
    clock = Clock([1.0] * 1000)
    assert len(repeat(clock.run, 5.0, 500.0, 0.01, clock)) == LEAST_REPEATS


def test_runs_at_least_as_long_as_asked():
    clock = Clock([0.001] * 100_000)
    assert sum(repeat(clock.run, 5.0, 500.0, 0.01, clock)) >= 5.0


def test_gives_up_after_the_longest_time():
    clock = Clock([1.0, 9.0] * 1000)
    times = repeat(clock.run, 1.0, 100.0, 0.01, clock)
    assert 100.0 <= sum(times) <= 110.0


def test_slow_networks_run_often_enough_for_an_interval():
    clock = Clock([60.0] * 100)
    assert len(repeat(clock.run, 1.0, 10.0, 0.01, clock)) == LEAST_REPEATS
