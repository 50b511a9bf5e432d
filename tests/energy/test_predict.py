"""Predictions of latency and energy: what was published, what is refused and why, readings before everything."""

import json
from dataclasses import replace

import pytest

from millijoule import predict_energy, zoo
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.cost.device import Reading, list_devices, load_device
from millijoule.energy import mcu
from millijoule.energy.fitted import linux
from millijoule.energy.fitted.instructions import MEASURED_FOR, counted_layers, errors, own_instructions
from millijoule.energy.fitted.intervals import spread, summarise
from millijoule.energy.fitted.tables import counted, submissions
from millijoule.energy.prediction import Estimate, together, within
from millijoule.energy.roofline import terms_of
from millijoule.errors import DeviceError, OptionError
from millijoule.graph import Builder
from millijoule.ops import Conv2d, Opaque
from millijoule.passes import simplify
from millijoule.plan import plan

WITH_ENERGY = {
    *("nucleo-l4r5zi", "nucleo-l4r5zi-p", "nucleo-h7a3zi-q", "nucleo-u575zi-q", "nucleo-u385rg-q", "ek-ra6m4"),
}
"""Boards whose power was published with MLPerf Tiny."""


def test_instructions_of_cmsis_nn_give_the_latency_that_was_published():
    """On boards with CMSIS-NN, what was submitted with it lies in the range of what is predicted from its counts."""
    held = []
    for row in submissions():
        if "CMSIS-NN" in row.stack and row.round != "v0.5":
            work = counted(row)
            core_cycles = round(work.instructions * mcu.CMSIS_NN_CORE_CYCLES)
            executed = mcu.Work(work.instructions, 1.0, work.dense_weights, core_cycles)
            found = mcu.predict("x", load_device(row.board), executed)
            assert found.latency_ms is not None
            held.append(found.latency_ms.low <= row.latency_ms <= found.latency_ms.high)
    assert len(held) == 38
    assert sum(held) / len(held) > 0.85


def test_energy_is_latency_times_the_power_of_the_board():
    found = predict_energy(zoo.resnet8(), "nucleo-u575zi-q", instructions=12_000_000)
    assert found.energy_mj.value / found.latency_ms.value * 1000 == pytest.approx(25.0, rel=0.02)  # mW
    assert found.energy_mj.high / found.energy_mj.value > found.latency_ms.high / found.latency_ms.value
    low = load_device("nucleo-l4r5zi")
    high = replace(low, supply_v=3.0)
    ratio = [predict_energy(zoo.resnet8(), device, instructions=10**7).energy_mj.value for device in (high, low)]
    assert ratio[0] / ratio[1] == pytest.approx(3.0 / 1.8)  # a current behind a linear regulator


def test_another_stack_takes_what_it_took_for_the_networks_of_mlperf_tiny():
    held = []
    for row in submissions():
        if row.benchmark in ("ic", "kws") and row.core in MEASURED_FOR:
            ours = own_instructions(row.core, row.benchmark, False)
            found = mcu.predict("x", load_device(row.board), mcu.Work(ours), row.stack)
            held.append(found.latency_ms.low <= row.latency_ms <= found.latency_ms.high)
            assert found.assumptions == ()
    assert sum(held) / len(held) > 0.85
    elsewhere = predict_energy(zoo.resnet8(), "nucleo-h7a3zi-q", stack="microTVM + CMSIS-NN")
    assert "on nrf5340-dk and nucleo-l4r5zi (MLPerf Tiny)" in elsewhere.rests_on[0]
    assert elsewhere.energy_mj is not None
    refused = predict_energy(zoo.resnet8(), "nucleo-f446re", stack="X-CUBE-AI 9.0")
    assert "neither on this board nor on one" in dict(refused.refused)["latency"]
    assert "`millijoule fit`" in dict(refused.refused)["latency"]
    with pytest.raises(
        OptionError,
        match=r"stack 'abacus' is not known; there are TFLM.*; of another, one reading on it \(`millijoule fit`\)",
    ):
        predict_energy(zoo.resnet8(), "nucleo-l4r5zi", stack="abacus")
    with pytest.raises(OptionError, match="'h100' is no microcontroller: leave the stack"):
        predict_energy(zoo.resnet8(), "h100", stack="X-CUBE-AI 9.0")


def test_instructions_that_are_dearer_for_the_core_take_longer():
    board = load_device("nucleo-l4r5zi")
    cheap, dear = (mcu.predict("x", board, mcu.Work(10**6, core_cycles=cycles)) for cycles in (1_205_000, 1_807_500))
    assert dear.latency_ms.value == pytest.approx(1.5 * cheap.latency_ms.value)
    assert "ours take 1.50 times theirs by their kinds" in dear.rests_on[0]
    other = load_device("nucleo-h7a3zi-q")  # no such cycles of CMSIS-NN are known there
    same = [mcu.predict("x", other, mcu.Work(10**6, core_cycles=cycles)) for cycles in (1_205_000, 1_807_500)]
    assert same[0] == same[1]


def test_weights_of_dense_layers_take_cycles_of_their_own():
    assert 0.2 < mcu.cycles_per_dense_weight() < 1.8  # of single boards
    device = load_device("nucleo-l4r5zi")
    plain, dense = (
        mcu.predict("x", device, mcu.Work(10**6, dense_weights=weights)).latency_ms.value for weights in (0, 10**6)
    )
    assert (dense - plain) * 120_000 == pytest.approx(mcu.cycles_per_dense_weight() * 10**6)


@pytest.mark.parametrize("device", [each for each in list_devices() if each.kind == "mcu"], ids=lambda each: each.name)
def test_every_board_is_predicted_or_refused_with_a_reason(device):
    found = predict_energy(zoo.ds_cnn(), device, instructions=3_000_000)
    assert (found.energy_mj is not None) == (device.name in WITH_ENERGY)
    assert (found.latency_ms is None) == (device.core in ("cortex-m3", "cortex-m55"))
    for quantity, reason in found.refused:
        assert quantity in ("latency", "energy")
        assert "millijoule fit" in reason
    if found.latency_ms is not None:
        assert any("our own kernels have run on no board yet" in text for text in found.assumptions)
        assert found.rests_on
    elif device.core == "cortex-m55":
        assert "cortex-m55" in dict(found.refused)["latency"]


def test_what_was_read_on_a_board_goes_before_what_is_published():
    board = load_device("nrf52840-dk")
    one = Reading(network="a", latency_ms=100.0, energy_mj=2.0, instructions=4_000_000)
    board = replace(board, readings=(one,), sources=board.sources | {"reading": "measured.csv"})
    found = predict_energy(zoo.ds_cnn(), board, instructions=8_000_000)
    weights = 768 * mcu.cycles_per_dense_weight() / 64_000
    assert found.latency_ms.value == pytest.approx(200.0 + weights)
    assert found.energy_mj.value == pytest.approx(4.0, rel=1e-3)
    assert found.assumptions == ()
    assert "1 reading on this board (measured.csv)" in found.rests_on[0]
    two = replace(board, readings=(one, replace(one, latency_ms=144.0)))
    again = predict_energy(zoo.ds_cnn(), two, instructions=8_000_000)
    assert again.latency_ms.value == pytest.approx(240.0 + weights)
    assert again.latency_ms.high / again.latency_ms.value < found.latency_ms.high / found.latency_ms.value


def test_a_mobilenet_on_a_raspberry_pi_is_what_was_measured():
    found = predict_energy(zoo.mobilenet_v2(), "raspberry-pi-4-tflite-2.7.1")
    (run,) = (
        each
        for each in linux.groups()["v2.0", "rpi4-tflite-v2.7.1-ruy", "fp32"]
        if each.network == "mobilenet-v2-1.0-224"
    )
    network = terms_of(cost(zoo.mobilenet_v2()))
    assert network.macs == run.macs
    assert network.layers == run.layers
    assert network.outputs == pytest.approx(run.outputs, rel=1e-3)
    assert found.energy_mj.low < run.energy_mj < found.energy_mj.high
    assert found.latency_ms.low < run.latency_ms < found.latency_ms.high


def test_far_from_the_measured_family_is_refused():
    for network in (zoo.resnet50(), zoo.vgg16(), zoo.lenet5()):
        found = predict_energy(network, "odroid-tflite-2.7.1")
        assert found.latency_ms is None
        assert "are outside of the" in dict(found.refused)["energy"]
        assert "`millijoule fit`" in dict(found.refused)["energy"]


def test_ceilings_are_a_bound_and_no_prediction():
    found = predict_energy(zoo.vgg16(), "jetson-tx1")
    assert found.latency_ms.value is None
    assert found.latency_ms.low == pytest.approx(2 * 15_470_264_320 / 512e9 * 1000)
    assert found.energy_mj is None
    assert not found.tested
    batch_of_one = predict_energy(zoo.alexnet(), "h100").latency_ms.low
    assert batch_of_one == pytest.approx(cost(zoo.alexnet()).size_bytes / 3.35e12 * 1000)  # weights, not arithmetic


def test_energies_of_operations_and_accesses_add_up():
    graph = zoo.lenet5()
    counts = cost(graph, 1)
    found = predict_energy(graph, "horowitz-45nm", precision="int8")
    weights = sum(layer.size_bytes for layer in counts.layers)
    moved = sum(each.reads_bytes + each.writes_bytes for each in found.accesses if each.what == "activations")
    assert moved > counts.moved_bytes - weights  # rows are read for each window that they lie under
    picojoules = 0.3 * counts.macs + 1.25 * moved + 12.5 * weights
    assert found.energy_mj.value == pytest.approx(picojoules * 1e-9)
    assert found.energy_mj.low == pytest.approx(found.energy_mj.high)
    large = predict_energy(zoo.alexnet(), "horowitz-45nm").energy_mj
    assert large.high > 1.3 * large.low  # DRAM


def test_figures_that_are_missing_are_named():
    table = load_device("horowitz-45nm")
    rest = {key: value for key, value in table.figures.items() if key != "dram_low_pj_per_byte"}
    with pytest.raises(DeviceError, match="'horowitz-45nm' states no dram_low_pj_per_byte; add it under"):
        predict_energy(zoo.lenet5(), replace(table, figures=rest))
    board = replace(load_device("odroid-tflite-2.7.1"), system="v2.0 abacus")
    with pytest.raises(DeviceError, match=r"system '.* abacus' is none that was published in fp32"):
        predict_energy(zoo.lenet5(), board)
    with pytest.raises(OptionError, match="precision is 'fp16'; it must be int8 or fp32"):
        predict_energy(zoo.lenet5(), "h100", precision="fp16")


@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "odroid-tflite-2.7.1", "h100", "horowitz-45nm", "eyeriss"])
def test_a_network_with_an_operator_that_is_not_known_is_refused(name):
    build = Builder("partly", (8, 8, 3))
    build("conv", Conv2d(channels=4, kernel=3))
    build("rest", Opaque(operator="Einsum", output=(6, 6, 4)))
    found = predict_energy(build.graph(), name)
    assert (found.latency_ms, found.energy_mj) == (None, None)
    assert {reason for _, reason in found.refused} == {"it has layers of operators that are not known: rest (Einsum)"}


def test_a_plan_changes_a_table_of_energies_alone():
    graph = simplify(zoo.ds_cnn())
    for name in ("nucleo-l4r5zi", "h100"):
        with pytest.raises(OptionError, match=f"predicted on '{name}' does not depend on a plan: leave it out"):
            predict_energy(graph, name, planned=plan(graph))


def test_this_computer_is_not_predicted():
    with pytest.raises(DeviceError, match="'host' is this computer"):
        predict_energy(zoo.lenet5(), "host")


@pytest.mark.parametrize("core", sorted(set(MEASURED_FOR.values())))
def test_instructions_from_shapes_are_near_those_counted(core):
    found = summarise(errors(core))
    assert found.mean < 0.12
    assert spread(errors(core)) < 1.4
    assert {row.network for row in counted_layers() if row.core == core} >= {"resnet8", "ds_cnn", "mobilenet_v1_025"}


def test_estimated_instructions_widen_the_range():
    counted_total = sum(
        row.instructions for row in counted_layers() if (row.core, row.network) == ("cortex-m4", "resnet8")
    )
    exact = predict_energy(zoo.resnet8(), "nucleo-l4r5zi", instructions=counted_total)
    estimated = predict_energy(zoo.resnet8(), "nucleo-l4r5zi")
    assert estimated.instructions == pytest.approx(counted_total, rel=0.2)
    widths = [each.latency_ms.high / each.latency_ms.value for each in (exact, estimated)]
    assert widths[0] < widths[1]


def test_factors_that_are_independent_combine_as_their_logarithms():
    assert together(1.1, 1.0) == pytest.approx(1.1)
    assert together(1.3, 1.4) < 1.3 * 1.4
    assert within(10.0, 2.0) == Estimate(10.0, 5.0, 20.0)
    assert within(10.0, 2.0).percent == "+100/-50 %"


def test_cost_prints_and_writes_the_prediction(capsys):
    assert main(["cost", "ds_cnn", "--by", "total", "--device", "nucleo-l4r5zi"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "latency, ms" in text
    assert "90 % range" in text
    assert "our own kernels have run on no board yet" in text
    assert main(["cost", "ds_cnn", "--device", "nrf52840-dk", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["prediction"]
    assert values["latency_ms"]["low"] < values["latency_ms"]["value"] < values["latency_ms"]["high"]
    assert values["energy_mj"] is None
    assert "45 to 70 % off" in values["refused"]["energy"]


@pytest.mark.parametrize(
    ("arguments", "quantity", "reasons"),
    [
        (["ds_cnn", "--device", "nrf52840-dk"], "energy", "45 to 70 % off; one reading on it (`millijoule fit`)"),
        (["ds_cnn", "--device", "alif-ensemble-e7"], "energy", "none with Helium is published; one reading on it"),
        (
            ["ds_cnn", "--device", "nucleo-f446re", "--stack", "HALE v1.1"],
            "latency",
            "compare it with; one reading on it",
        ),
        (
            ["resnet50", "--device", "odroid-tflite-2.7.1"],
            "energy",
            "a reading of a network like it (`millijoule fit`)",
        ),
    ],
)
def test_what_is_refused_says_why_and_what_helps(arguments, quantity, reasons, capsys):
    """A board without a reading, Helium, a stack that is not known there, a network far from the fitted family."""
    assert main(["cost", *arguments, "--by", "total"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{quantity}, {'ms' if quantity == 'latency' else 'mJ'} refused" in text
    assert reasons in text


def test_cost_says_that_a_network_does_not_fit(capsys):
    assert main(["cost", "mobilenet_v2", "--by", "total", "--device", "nucleo-l4r5zi"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "latency, ms 4," in text
    assert "It does not fit: the firmware needs at least 3,541,984 bytes of flash" in text
    assert "`deploy` streams" in text
    assert main(["cost", "mobilenet_v2", "--device", "nucleo-l4r5zi", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["does_not_fit"]) > 2
    assert main(["cost", "ds_cnn", "--device", "nucleo-l4r5zi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["does_not_fit"] == []


def test_cost_of_an_unknown_device_is_one_line(capsys):
    assert main(["cost", "ds_cnn", "--device", "abacus"]) == 2
    assert capsys.readouterr().err.startswith("error: device 'abacus' is not known")
