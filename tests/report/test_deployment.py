"""The value, its JSON form and the files."""

import json
from dataclasses import replace

import pytest

from millijoule.report.deployment import Deployment, write_reports
from tests.report.deployments import SAMPLES, deployment

KEYS = [
    "model", "device", "accuracy", "detector", "bit_exact", "outputs_compared", "flash_bytes", "ram_bytes",
    "arena_bytes", "arena_planned_bytes", "streamed_steps", "stack_bytes", "instructions", "instructions_min",
    "instructions_max", "instruction_mix", "core_cycles_estimate", "cycles_estimate", "flash_for_speed", "prediction",
    "macs", "params", "emulator", "compiler", "layers", "accesses", "notes",
]  # fmt: skip
LAYER_KEYS = ["name", "operator", "output_shape", "params", "macs", "size_bytes", "ram_bytes", "instructions"]


def test_the_keys_are_a_stable_interface():
    values = deployment().to_json()
    assert list(values) == KEYS
    assert list(values["accuracy"]) == ["float", "int8_host", "int8_device"]
    for layer in values["layers"]:
        assert list(layer) == LAYER_KEYS
    assert json.loads(json.dumps(values)) == values


def test_json_of_a_board():
    made = deployment()
    values = made.to_json()
    total = made.measurement.instructions[0]
    assert values["bit_exact"] is True
    assert values["outputs_compared"] == 3 * SAMPLES
    assert made.samples == SAMPLES
    assert values["flash_bytes"] == 61_234
    assert values["arena_bytes"] == values["arena_planned_bytes"] == 720
    assert values["ram_bytes"] == 852
    assert (values["instructions_min"], values["instructions_max"]) == (total, total + 40)
    assert values["instructions"] == total + 38
    assert values["cycles_estimate"]["cycles"] == round(1.34 * values["instructions"])
    predicted = values["prediction"]
    assert predicted["instructions"] == values["instructions"]
    assert predicted["latency_ms"]["low"] < predicted["latency_ms"]["value"] < predicted["latency_ms"]["high"]
    assert predicted["energy_mj"] is None  # nothing is published of this board
    assert values["macs"] == sum(layer["macs"] for layer in values["layers"]) == 7_164
    assert sum(layer["instructions"] for layer in values["layers"]) + 1200 == total


def test_layers_are_the_nodes_with_what_lives_beside_them():
    made = deployment()
    layers = {layer["name"]: layer for layer in made.to_json()["layers"]}
    assert list(layers) == [node.name for node in made.model.graph.nodes]
    assert layers["c1"]["ram_bytes"] == 720
    assert layers["pw"]["ram_bytes"] == 432
    assert layers["flat"]["instructions"] == 0
    assert layers["softmax"]["output_shape"] == [3]
    assert max(layer["ram_bytes"] for layer in layers.values()) == made.plan.arena_bytes


def test_what_was_not_measured_is_none():
    values = deployment(device="host").to_json()
    assert values["bit_exact"] is True
    for key in (
        "flash_bytes",
        "ram_bytes",
        "arena_bytes",
        "stack_bytes",
        "instructions",
        "emulator",
        "cycles_estimate",
        "prediction",
    ):
        assert values[key] is None
    assert values["arena_planned_bytes"] == 720
    assert all(layer["instructions"] is None for layer in values["layers"])


@pytest.mark.parametrize(("compared", "equal", "exact"), [(60, 60, True), (60, 59, False), (0, 0, None)])
def test_bit_exact(compared, equal, exact):
    assert deployment(outputs_compared=compared, outputs_equal=equal).bit_exact is exact


def test_a_deployment_cannot_be_changed():
    with pytest.raises(AttributeError):
        deployment().outputs_equal = 60
    assert isinstance(replace(deployment(), notes=("x",)), Deployment)


def test_reports_are_written(tmp_path):
    made = deployment()
    write_reports(made, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text()) == made.to_json()
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
