"""Logs of power: energies that can be worked out by hand, and every way in which a log can be wrong."""

import pytest

from millijoule.errors import DataError
from millijoule.measure.meters.log import LogMeter, read_log
from millijoule.measure.runs import Measured, Run, join_log


def log(tmp_path, header, rows):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_constant_power(tmp_path):
    path = log(tmp_path, "time_s,power_w", [(second, 2.0) for second in range(100, 111)])
    reading = LogMeter(path).stop(102.5, 107.25)
    assert reading.joules == pytest.approx(2.0 * 4.75)
    assert reading.watts == pytest.approx(2.0)
    assert reading.error_joules == 0.0
    assert reading.rate_hz == pytest.approx(1.0)


def test_a_ramp_is_integrated_exactly(tmp_path):
    path = log(tmp_path, "time_ms,power_mw", [(1000 * second, 1000 * second) for second in range(11)])
    assert LogMeter(path).stop(1.5, 7.5).joules == pytest.approx((7.5**2 - 1.5**2) / 2)


def test_current_and_voltage(tmp_path):
    path = log(tmp_path, "time_s,current_mA,voltage_V", [(second, 250, 3.3) for second in range(5)])
    assert LogMeter(path).stop(1.0, 2.0).joules == pytest.approx(0.825)


def test_times_in_iso_8601(tmp_path):
    path = log(tmp_path, "time,power_w", [(f"2026-01-02T03:04:0{second}+00:00", 1.0) for second in range(5)])
    assert read_log(path)[0][0] == 1767323040.0


def test_a_log_that_grows_is_read_again(tmp_path):
    rows = [(second, 1.0) for second in range(5)]
    path = log(tmp_path, "time_s,power_w", rows)
    meter = LogMeter(path)
    meter.stop(1.0, 2.0)
    log(tmp_path, "time_s,power_w", [*rows, *((second, 1.0) for second in range(5, 20))])
    assert meter.stop(1.0, 15.0).joules == pytest.approx(14.0)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("time,power", [], "columns are time, power; there must be power_w, or current_ma and voltage_v, the unit"),
        ("seconds,power_w", [], "there must be a time"),
        ("time_s,current_ma", [], "power_w, or current_ma and voltage_v"),
        ("", [], "columns are none"),
        ("time_s,power_w", [(1, 2)], "has 1 samples; energy needs 2"),
        ("time_s,power_w", [(1, 2), (2, "")], "line 3, column power_w: '' is no number"),
        ("time_s,power_w", [(1, 2), (2, "nan")], "line 3, column power_w: 'nan' is no number"),
        ("time_s,power_w", [(1, 2), (1, 2)], "line 3: time 1.000000 s is not after 1.000000 s"),
        ("time_s,power_w", [(0, 1), (1, 1), (2, 1), (3, 1), (40, 1), (41, 1)], "line 6: 37 s without a sample"),
        ("time_s,power_w", [(0, 1), (1, 1)], "covers 0.000 to 1.000 s"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, header, rows, words):
    path = log(tmp_path, header, rows)
    with pytest.raises(DataError) as caught:
        LogMeter(path).stop(0.5, 40.5)
    assert words in str(caught.value)


def run(begin, end, **more):
    values = {"network": "a", "engine": "torch", "device": "cpu", "batch": 2, "threads": 1, "precision": "float32"}
    values |= {"macs": 1, "params": 1, "latency_ms": 100.0, "repeats": 10, "begin": begin, "end": end}
    return Run(**(values | more))


def test_energies_are_joined_to_runs_and_idle_power_is_subtracted(tmp_path):
    rows = [(tenth / 10, 5.0 if tenth >= 40 else 1.0) for tenth in range(101)]
    path = log(tmp_path, "time_s,power_w", rows)
    runs = (run(5.0, 7.0), run(20.0, 21.0), run(0.0, 0.0, problem="not installed"))
    before = Measured(machine="m", meter="no meter", idle_watts=None, idle_begin=0.5, idle_end=3.0, runs=runs)
    first, second, third = join_log(before, LogMeter(path)).runs
    # 2 s at 5 W are 10 J, at 1 W idle 8 J more than that, for 20 images.
    assert first.gross_mj == pytest.approx(500.0)
    assert first.energy_mj == pytest.approx(400.0)
    assert second.energy_mj is None
    assert "covers" in second.no_energy
    assert third.energy_mj is None
