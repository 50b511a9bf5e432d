"""Runs in real engines, as far as they are installed, and every reason why a row may be empty."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from millijoule.cli import main
from millijoule.errors import DataError, OptionError
from millijoule.graph import Builder
from millijoule.measure.analysis import fits, speed_ups
from millijoule.measure.engines import ENGINES, Engine
from millijoule.measure.meters import Meter, Reading, meter
from millijoule.measure.runs import Measured, Run, measure
from millijoule.ops import Conv2d, Dense, GlobalAveragePool, LocalResponseNorm, Softmax
from millijoule.report.measure import tables
from millijoule.report.measure.page import measured_page

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert", "torch": "torch"}
INSTALLED = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]


def small():
    build = Builder("small", (12, 12, 3))
    build("conv", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("pool", GlobalAveragePool())
    build("fc", Dense(features=5))
    build("softmax", Softmax())
    return build.graph()


@pytest.fixture(scope="module")
def float_runs():
    return measure([small()], INSTALLED, [1, 3], seconds=0.2).runs


def test_every_engine_runs_every_batch(float_runs):
    assert [(run.engine, run.batch) for run in float_runs] == [(name, batch) for batch in (1, 3) for name in INSTALLED]
    for run in float_runs:
        assert run.problem == ""
        assert 0 < run.latency_low_ms <= run.latency_ms <= run.latency_high_ms
        assert run.repeats >= 8
        assert run.version
        assert run.resident_before_bytes is None or run.resident_before_bytes < run.resident_peak_bytes


def test_engines_agree(float_runs):
    for run in float_runs:
        assert (run.difference is None) == (run.engine == INSTALLED[0])
        assert run.difference is None or run.difference < 1e-4


def test_without_a_meter_energies_are_empty_and_say_why(float_runs):
    assert {(run.energy_mj, run.gross_mj, run.no_energy) for run in float_runs} == {(None, None, "no meter")}


def test_int8_in_the_emitted_c_and_elsewhere():
    names = ["millijoule", *(name for name in ("litert", "onnxruntime") if name in INSTALLED)]
    runs = measure([small()], names, seconds=0.2, int8=True).runs
    assert [run.problem for run in runs] == [""] * len(names)
    assert {run.precision for run in runs} == {"int8"}
    # One step of the softmax's scale, 1/256, over its largest output. ONNX Runtime's fast int8 products saturate on
    # AVX2 without VNNI, which is what this column is for.
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    saturates = "avx2" in cpu and "vnni" not in cpu
    exact = [run for run in runs if not (saturates and run.engine == "onnxruntime")]
    assert all(run.difference is None or run.difference < 0.02 for run in exact)


def test_what_an_engine_cannot_do_leaves_the_other_rows(monkeypatch):
    monkeypatch.setitem(ENGINES, "absent", Engine("absent", "absent", "absent-engine", "float", ".onnx"))
    runs = measure([small()], ["absent", "millijoule", *INSTALLED[:1]], seconds=0.1).runs
    assert "absent" in runs[0].problem
    assert "millijoule takes int8 models" in runs[1].problem
    assert runs[2].problem == ""


class Counter(Meter):
    """A meter that reads 3 W while idle and 7 W afterwards."""

    name, live = "counter", True

    def __init__(self):
        self.readings = 0

    def start(self): ...

    def stop(self, begin, end):
        self.readings += 1
        if self.readings == 3:
            raise DataError("the meter fell asleep")
        watts = 3.0 if self.readings == 1 else 7.0
        return Reading(watts * (end - begin), end - begin, 0.01, 50.0)


def test_idle_power_is_subtracted_and_a_meter_that_fails_leaves_a_reason(monkeypatch):
    monkeypatch.setattr(sys.modules["millijoule.measure.runs"], "IDLE_SECONDS", 0.01)
    found = measure([small()], INSTALLED[:1], [1, 2], seconds=0.1, meter=Counter())
    first, second = found.runs
    assert found.idle_watts == pytest.approx(3.0)
    seconds_an_image = (first.end - first.begin) / first.repeats
    assert first.gross_mj == pytest.approx(7000 * seconds_an_image)
    assert first.energy_mj == pytest.approx(4000 * seconds_an_image)
    assert first.energy_error_mj == pytest.approx(10 / first.repeats)
    assert (second.energy_mj, second.no_energy) == (None, "the meter fell asleep")
    heading = "counter, 50 samples a second (± is what they leave open); idle 3 W, subtracted"
    assert heading in str(tables.measured(found)[0])
    assert heading in measured_page(found, [])


def test_memory_is_shown_where_empty_energies_would_take_its_room():
    shown = io.StringIO()
    row = run_of("mobilenet_v1_025", 1, 1.5, latency_low_ms=1.4, latency_high_ms=1.6, resident_peak_bytes=45 * 10**6)
    Console(file=shown, width=80).print(*tables.measured(measured_of(row)))
    head, line = shown.getvalue().splitlines()[2:5:2]
    assert "peak RAM" in shown.getvalue()
    assert "energy" not in head
    assert line.split()[-1] == "45"


def test_why_idle_power_is_not_known_is_said(monkeypatch):
    class Late(Counter):
        def stop(self, begin, end):
            if not self.readings:
                self.readings += 1
                raise DataError("the meter woke up late")
            return super().stop(begin, end)

    monkeypatch.setattr(sys.modules["millijoule.measure.runs"], "IDLE_SECONDS", 0.01)
    (run,) = measure([small()], INSTALLED[:1], seconds=0.1, meter=Late()).runs
    assert run.gross_mj > 0
    assert (run.energy_mj, run.no_energy) == (None, "idle power was not measured: the meter woke up late")


def test_meters_by_name(tmp_path):
    assert meter("none") is None
    with pytest.raises(OptionError, match="meter 'sun' is not known; it must be none, zeus or csv:FILE"):
        meter("sun")
    with pytest.raises(DataError, match=r"meter 'csv:.*absent.csv' cannot be read: No such file"):
        meter(f"csv:{tmp_path / 'absent.csv'}")


def run_of(network, macs, latency, **more):
    values = {"engine": "torch", "device": "cpu", "batch": 2, "threads": 1, "precision": "float32", "params": 1}
    return Run(network=network, macs=macs, latency_ms=latency, **(values | more))


def measured_of(*runs):
    return Measured(machine="m", meter="no meter", idle_watts=None, idle_begin=0.0, idle_end=0.0, runs=runs)


def test_the_line_of_least_squares():
    runs = [run_of(f"n{number}", number * 10**9, 2 * (5 + 3 * number)) for number in range(1, 6)]
    (fit,) = fits(measured_of(*runs, run_of("failed", 10**9, None, problem="x")))
    assert (fit.networks, fit.batch) == (5, 2)
    assert (fit.constant_ms, fit.ms_per_gmac, fit.r_squared) == pytest.approx((5, 3, 1))
    assert fits(measured_of(*runs[:3])) == []


def test_other_devices_against_the_processor():
    found = speed_ups(measured_of(run_of("a", 1, 100.0), run_of("a", 1, 4.0, device="cuda:0"), run_of("b", 1, 1.0)))
    assert [(each.network, each.device, each.times) for each in found] == [("a", "cuda:0", 25.0)]


def test_without_another_device_the_row_says_so(capsys, tmp_path):
    alone, both = measured_of(run_of("a", 1, 100.0)), [run_of("a", 1, 100.0), run_of("a", 1, 4.0, device="cuda:0")]
    for found, words in ((alone, "none: PyTorch sees no device but the processor"), (measured_of(*both), "cuda:0 25")):
        path = tmp_path / "measured.json"
        path.write_text(json.dumps(found.to_json()))
        assert main(["measure", "--from", str(path), "--gpu"]) == 0
        assert words in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif("litert" not in INSTALLED or len(INSTALLED) < 2, reason="needs LiteRT and another engine")
def test_an_operator_that_an_engine_lacks_is_its_reason_and_the_others_rows_come():
    build = Builder("normalised", (8, 8, 4))
    build("conv", Conv2d(channels=16, kernel=3))
    build("norm", LocalResponseNorm())
    other = next(name for name in INSTALLED if name != "litert")
    litert, row = measure([build.graph()], ["litert", other], seconds=0.1).runs
    assert litert.latency_ms is None
    assert "'norm'" in litert.problem
    assert "no operator in TFLite" in litert.problem
    assert row.problem == ""
    assert row.latency_ms > 0


def test_what_json_prints_can_be_read_again(tmp_path, capsys):
    found = measured_of(run_of("a", 1, 100.0, latency_low_ms=99.0, latency_high_ms=101.0))
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(found.to_json()))
    assert main(["measure", "--from", str(path), "--json"]) == 0
    assert Measured.from_json(json.loads(capsys.readouterr().out)) == found
    page = tmp_path / "page.html"
    assert main(["measure", "--from", str(path), "--html", str(page)]) == 0
    assert "Latency against operations" in page.read_text()


def test_a_page_without_a_name_is_called_after_what_it_shows(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = measured_of(run_of("a", 1, 100.0, latency_low_ms=99.0, latency_high_ms=101.0))
    (tmp_path / "measured.json").write_text(json.dumps(found.to_json()))
    assert main(["measure", "--from", "measured.json", "--html"]) == 0
    assert "page: measured.html" in capsys.readouterr().err
    assert (tmp_path / "measured.html").exists()
    failed = measured_of(run_of("a", 1, None, problem="no such operator"))
    (tmp_path / "measured.json").write_text(json.dumps(failed.to_json()))
    assert main(["measure", "--from", "measured.json", "--html", "none.html"]) == 2
    shown = capsys.readouterr()
    assert "a, torch, batch 2: no such operator" in shown.out
    assert "no engine ran any network" in shown.err
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet5", "--engine", "tensorrt"], "engine 'tensorrt' is not known; it must be one of onnxruntime"),
        (["lenet5", "--batch", "0"], "'0' is not a whole number of 1 or more"),
        (["lenet5", "--meter", "sun"], "meter 'sun' is not known"),
        (["lenet5", "--from", "x.json"], "--from reads what was measured: leave the networks out"),
        (["--from", "absent.json"], "'absent.json' cannot be read"),
        (["lenet5", "--html", "page.txt"], "'page.txt' is no page: its name must end in .html"),
        (["lenett"], "lenet5"),
    ],
)
def test_bad_input_is_one_line(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["measure", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_random_inputs_are_the_same_for_every_engine():
    from millijoule.measure.runs import _inputs, _with_numbers

    model = _with_numbers(small(), int8=False)
    last, first = (_inputs(model, 2, ENGINES[name]) for name in ("litert", "torch"))
    assert np.array_equal(last.transpose(0, 3, 1, 2), first)
