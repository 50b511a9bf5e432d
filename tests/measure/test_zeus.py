"""Zeus, played by a stand-in with the fields of its measurements: this meter is no part of the tests' computer."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from millijoule.cli import main
from millijoule.errors import ToolError
from millijoule.measure.meters import meter


def installed(monkeypatch, monitor):
    """As if the package `zeus` were installed, with this class as its monitor."""
    package, module = ModuleType("zeus"), ModuleType("zeus.monitor")
    module.ZeusMonitor = monitor
    monkeypatch.setitem(sys.modules, "zeus", package)
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)


def monitor_of(gpu=None, cpu=None, dram=None, soc=None):
    class Monitor:
        def begin_window(self, key, sync_execution):
            assert not sync_execution

        def end_window(self, key, sync_execution):
            return SimpleNamespace(gpu_energy=gpu or {}, cpu_energy=cpu, dram_energy=dram, soc_energy=soc)

    return Monitor


@pytest.mark.parametrize(
    ("parts", "name", "joules", "rate"),
    [
        ({"cpu": {0: 3.0, 1: 2.0}, "dram": {0: 0.5}}, "Zeus: processor, memory", 5.5, 1000),  # RAPL, two sockets
        ({"gpu": {0: 40.0}, "cpu": {0: 3.0}}, "Zeus: gpu, processor", 43.0, 10),  # NVML
        ({"soc": SimpleNamespace(cpu_total_mj=1500.0, gpu_mj=500.0, label="M3")}, "Zeus: chip", 2.0, 1000),  # Apple
    ],
)
def test_every_part_that_zeus_finds_is_summed(monkeypatch, parts, name, joules, rate):
    installed(monkeypatch, monitor_of(**parts))
    found = meter("zeus")
    assert (found.name, found.live) == (name, True)
    found.start()
    reading = found.stop(0.0, 0.0)
    assert reading.joules == pytest.approx(joules)
    assert reading.rate_hz == pytest.approx(rate)
    # Power may be counted up to one period late at either end.
    assert reading.error_joules == pytest.approx(2 / rate * reading.watts)


def test_a_counter_that_may_not_be_read_is_one_line(monkeypatch, capsys):
    class Forbidden:
        def __init__(self):
            raise PermissionError("[Errno 13] Permission denied: 'intel-rapl:0/energy_uj'")

    installed(monkeypatch, Forbidden)
    assert main(["measure", "lenet5", "--meter", "zeus"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "meter 'zeus' cannot read this computer's energy: [Errno 13] Permission denied" in line


def test_an_error_of_a_driver_is_one_line(monkeypatch):
    class Broken:
        def __init__(self):
            raise RuntimeError("NVML failed\nDriver/library version mismatch")

    installed(monkeypatch, Broken)
    with pytest.raises(ToolError) as error:
        meter("zeus")
    assert "\n" not in str(error.value)
    assert "NVML failed" in str(error.value)


def test_a_computer_without_any_counter_says_so(monkeypatch):
    installed(monkeypatch, monitor_of())
    with pytest.raises(ToolError, match="finds no RAPL, NVML, Jetson or Apple meter that it may read"):
        meter("zeus")


def test_zeus_that_is_not_installed_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    assert main(["measure", "lenet5", "--meter", "zeus"]) == 2
    assert capsys.readouterr().err == "error: meter 'zeus' is not installed: pip install zeus\n"
