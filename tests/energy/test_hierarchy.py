"""Accelerators: accesses of plans, by hand and against other counts; Eyeriss against what was published of it."""

import json
from dataclasses import replace

import pytest

from millijoule import predict_energy, zoo
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.cost.device import load_device
from millijoule.energy.fitted.intervals import summarise
from millijoule.energy.fitted.tables import chip_runs
from millijoule.energy.hierarchy import array
from millijoule.energy.hierarchy.accesses import Moved, count, total
from millijoule.energy.hierarchy.row_stationary import Layer, Pass, buffer_accesses, dram_accesses, mapping
from millijoule.errors import DeviceError, OptionError
from millijoule.graph import Builder
from millijoule.ops import Conv2d, Dense, Flatten, GlobalAveragePool
from millijoule.passes import simplify
from millijoule.plan import PlanError, plan
from millijoule.plan.streaming import frontier, stream_plan, two_memories

EYERISS = load_device("eyeriss")


def small():
    build = Builder("small", (4, 4, 1))
    build("conv", Conv2d(channels=2, kernel=3, padding="same"))  # 4x4x2
    build("flatten", Flatten())
    build("dense", Dense(features=3))
    return build.graph()


def test_a_stored_plan_reads_the_rows_under_each_window():
    graph = small()
    found = count(graph, plan(graph), 10**6, 2)
    # Rows of 4 numbers of 2 bytes: the inner rows of the result read three of them, the outer two.
    assert found["conv"] == Moved(chip_reads=(2 + 3 + 3 + 2) * 4 * 2, chip_writes=32 * 2)
    assert found["dense"] == Moved(chip_reads=32 * 2, chip_writes=3 * 2)
    assert found["flatten"] == Moved()


def test_what_lies_above_the_chip_is_in_dram():
    graph = small()
    planned = plan(graph)
    whole, split = (total(count(graph, planned, size, 1).values()) for size in (10**6, 8))
    assert split.chip_reads + split.dram_reads == whole.chip_reads == 40 + 32
    assert split.chip_writes + split.dram_writes == whole.chip_writes == 35
    below = {name: max(8 - planned.offsets[name], 0) for name in ("conv", "dense")}
    assert split.chip_writes == min(below["conv"], 32) + min(below["dense"], 3)
    nothing = total(count(graph, planned, 0, 1).values())
    assert (nothing.chip_reads, nothing.chip_writes) == (0, 0)
    assert (nothing.dram_reads, nothing.dram_writes) == (72, 35)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "squeezenet1_1", "mobilenet_v1_025"])
def test_layers_one_by_one_move_what_the_verifier_of_streamed_plans_sees(name):
    """Another counter: the addresses that a replay of every row on tagged bytes reads and writes."""
    graph = simplify(zoo.get(name))
    stored = count(graph, plan(graph), 10**9, 4)
    whole = frontier(graph, points=2, grain="row")[-1]
    replayed = count(graph, whole, 10**9, 4)
    alone = {names[0] for names in whole.segments if len(names) == 1}
    assert len(alone) > 4
    for layer in alone - {name for kind, name in whole.places if kind == "sums"}:
        assert stored[layer] == replayed[layer]


def test_pointwise_networks_move_what_their_shapes_say():
    build = Builder("pointwise", (4, 4, 3))
    build("first", Conv2d(channels=5, kernel=1))
    build("second", Conv2d(channels=2, kernel=1))
    graph = build.graph()
    moved = total(count(graph, plan(graph), 10**9, 4).values())
    layers = cost(graph).layers
    assert moved.chip_reads == sum(layer.read_bytes - layer.size_bytes for layer in layers)
    assert moved.chip_writes == sum(layer.written_bytes for layer in layers)


def test_sums_of_a_streamed_pool_are_int32_whatever_the_numbers_are():
    build = Builder("pool", (5, 4, 3))
    build("conv", Conv2d(channels=2, kernel=1))
    build("pool", GlobalAveragePool())
    graph = build.graph()
    planned = stream_plan(graph, grain="row")
    assert ("sums", "pool") in planned.places
    for size in (1, 2):
        found = count(graph, planned, 10**6, size)["pool"]
        assert found.chip_reads == 5 * 4 * 2 * size + 4 * 2 * 4  # rows; sums, but for the first row
        assert found.chip_writes == 5 * 2 * 4 + 2 * size


def test_a_plan_for_two_memories_moves_the_traffic_that_emulators_measure():
    graph = simplify(zoo.resnet8())
    planned = two_memories(graph, 9_000, 10**6)
    moved = total(count(graph, planned, 10**6, 1).values())
    assert moved.dram_reads + moved.dram_writes == planned.memories.traffic_bytes > 0
    assert moved.chip_reads > 0


def test_what_does_not_fit_the_chip_is_read_from_dram():
    graph = zoo.mobilenet_v2()
    simple = simplify(graph)
    whole = predict_energy(graph, "horowitz-45nm", precision="int8")
    moved = {(each.level, each.what): each for each in whole.accesses}
    assert moved["DRAM", "weights"].reads_bytes == sum(layer.size_bytes for layer in cost(simple, 1).layers)
    assert moved["DRAM", "activations"].reads_bytes > 10**5  # the arena takes 1.5 MB
    fits = predict_energy(graph, "horowitz-45nm", precision="int8", planned=stream_plan(simple, grain="row"))
    assert not [each for each in fits.accesses if (each.level, each.what) == ("DRAM", "activations")]
    assert fits.energy_mj.value < whole.energy_mj.value
    assert "streamed" in fits.rests_on[1]


def test_a_plan_that_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="predicted on 'eyeriss' does not depend on a plan"):
        predict_energy(small(), "eyeriss", planned=plan(small()))
    with pytest.raises(PlanError, match="'resnet8'"):
        predict_energy(small(), "horowitz-45nm", planned=stream_plan(simplify(zoo.resnet8())))


def test_eyeriss_is_mapped_as_its_accesses_imply():
    """3x3 kernels in four sets of elements, one above the other; 11x11 in two of seven columns, side by side."""
    chip = array.array(EYERISS)
    conv1 = Layer(3, 96, 1, (11, 11), 4, 227, 227, 55, 55, 227 * 227 * 3, 11 * 11 * 3 * 96)
    conv3 = Layer(256, 384, 1, (3, 3), 1, 15, 15, 13, 13, 13 * 13 * 256, 9 * 256 * 384)
    assert mapping(conv1, chip, 4) == Pass(rows=7, channels=1, filters=32)
    assert mapping(conv3, chip, 4) == Pass(rows=13, channels=6, filters=32)
    # 43 passes of channels; 12 groups of filters read each input row once.
    sums, inputs = 43 * 384 * 13 * 13, 256 * 15 * 15 * 12
    assert buffer_accesses(conv3, chip, 4) == (2 * 4 * (sums + inputs), 2 * 4 * sums)
    # A third of the input is not 0: it takes 4/9 of its words, twelve times; of the output, all is.
    read, written = dram_accesses(conv3, chip, 4, (1 / 3, 1.0))
    assert read == round(2 * (conv3.input * 4 * 4 / 9 * 12 + conv3.weights))
    assert written == 2 * 4 * 384 * 13 * 13
    assert mapping(conv3, replace(chip, input_buffer_bytes=1), 4).channels == 1


def test_accesses_to_the_buffer_are_those_published():
    """Tables V and VI. The mapping follows AlexNet's; VGG-16's thirteen layers test it."""
    found = dict(zip(((run.network, run.layer) for run in chip_runs()), array.buffer_errors(), strict=True))
    assert len(found) == 18
    exact = [error.relative for (network, layer), error in found.items() if network == "alexnet" and layer != "conv2"]
    assert max(exact) < 0.003
    assert found["alexnet", "conv2"].relative < 0.035
    assert max(error.relative for (network, _), error in found.items() if network == "vgg16") < 0.054


def test_the_energy_of_layers_is_predicted_by_the_other_network():
    energies = array.fit(array.measured())
    assert 10 < energies.mac_pj < 20
    found = summarise(array.errors())
    assert found.count == 18
    assert found.mean < 0.17
    assert found.median < 0.10
    assert summarise(array.dram_errors()).mean < 0.18


@pytest.mark.parametrize(("name", "joules", "batch"), [("alexnet", 0.0320534, 4), ("vgg16", 1.017042, 3)])
def test_eyeriss_takes_what_was_measured(name, joules, batch):
    found = predict_energy(zoo.get(name), "eyeriss")
    assert found.energy_mj.low < 1000 * joules / batch < found.energy_mj.high
    assert not found.tested
    assert [(each.level, each.what) for each in found.accesses] == [
        ("buffer", "inputs and sums"),
        ("DRAM", "maps and weights"),
    ]


def test_layers_unlike_those_measured_have_accesses_and_no_energy():
    found = predict_energy(zoo.mobilenet_v2(), "eyeriss")
    assert found.energy_mj is None
    assert "96 % of the MACs are in layers unlike those measured" in dict(found.refused)["energy"]
    assert found.accesses[0].reads_bytes > 0
    assert found.accesses[0].energy_mj is None


def test_figures_of_an_array_that_are_missing_are_named():
    rest = {key: value for key, value in EYERISS.figures.items() if key != "input_words"}
    with pytest.raises(DeviceError, match="'eyeriss' states no input_words; add it under"):
        predict_energy(zoo.lenet5(), replace(EYERISS, figures=rest))


def test_cost_prints_the_accesses(capsys):
    assert main(["cost", "resnet8", "--by", "total", "--device", "horowitz-45nm"]) == 0
    text = capsys.readouterr().out
    assert "read, bytes" in text
    assert "SRAM 1 MB" in text
    found = {}
    for objective in ("speed", "ram"):
        assert main(["cost", "resnet8", "--device", "horowitz-45nm", "--optimize", objective, "--json"]) == 0
        found[objective] = json.loads(capsys.readouterr().out)["prediction"]["accesses"]
    assert found["ram"][0]["reads_bytes"] > found["speed"][0]["reads_bytes"]  # rows are read again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimize", "ram"], "--optimize ram goes with --device"),
        (["--optimize", "ram", "--device", "nucleo-l4r5zi"], "'nucleo-l4r5zi' is none"),
    ],
)
def test_a_plan_is_only_of_an_accelerator(arguments, message, capsys):
    assert main(["cost", "resnet8", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
