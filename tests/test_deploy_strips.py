"""Firmware whose input lies outside of the arena, and whose beginning is computed in strips."""

import ctypes

import numpy as np
import pytest

from millijoule.cost.device import load_device
from millijoule.deploy import deploy
from millijoule.emit import emit
from millijoule.errors import OptionError
from millijoule.plan.streaming import strip_plan
from millijoule.run.host import build_host
from tests.ops.batch import Batch
from tests.plan.streaming.networks import random_model
from tests.plan.streaming.test_strips import wide
from tests.test_emit_streamed import expected, inputs_of, named


@pytest.mark.parametrize("device", ["nucleo-l4r5zi"])
def test_strips_on_a_board(tmp_path, device):
    found = deploy(wide(), device, optimize="ram", input="read", strips=3, folder=tmp_path / "out", samples=2)
    assert found.bit_exact
    assert found.measurement.arena_bytes == found.plan.arena_bytes
    assert found.build.ram_bytes == -(-(found.plan.arena_bytes + 16 * 64 * 3) // 8) * 8
    assert "in 3 strips of its width" in found.plan.notes[0]
    assert found.plan.notes[0] in (tmp_path / "out" / "report.html").read_text().replace("&#x27;", "'")
    moved = {layer["name"]: layer["instructions"] for layer in found.layers() if layer["operator"] == "Concat"}
    assert list(moved.values()) == [0]
    # The weights of a strip are those of the others.
    text = (tmp_path / "out" / "weights.h").read_text()
    assert "project_strip0_" in text
    assert "project_strip1_" not in text


def test_the_input_is_read_where_it_lies(tmp_path):
    model = wide()
    split, planned = strip_plan(model, 4)
    emit(split, planned, load_device("host"), tmp_path)
    library = ctypes.CDLL(str(build_host(tmp_path, "wide")))
    (sample,), output = inputs_of(model, 1), np.zeros(5, np.int8)
    given = sample.copy()
    for _ in range(2):
        assert library.wide_run(ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(output.ctypes.data)) == 0
        np.testing.assert_array_equal(output, expected(model, sample[None])[0])
    np.testing.assert_array_equal(given, sample)
    assert library.wide_run(None, ctypes.c_void_p(output.ctypes.data)) == -1
    header = (tmp_path / "model.h").read_text()
    assert "wide_input(void)" not in header
    assert "may be read several times and must not" in header


@pytest.mark.parametrize("grain", ["row", "pixel"])
def test_random_networks_read_their_input_outside(tmp_path, grain):
    models = {f"random_{seed}": named(random_model(seed), f"random_{seed}") for seed in range(8)}
    inputs = {name: inputs_of(model) for name, model in models.items()}
    batch = Batch.write(tmp_path, models, inputs, contract="read", grain=grain)
    for name, outputs in batch.on_host().items():
        np.testing.assert_array_equal(outputs, expected(models[name], inputs[name]), err_msg=name)


def test_strips_are_for_the_least_ram(tmp_path):
    for options in ({"optimize": "speed"}, {"optimize": "ram", "ram": (1000, 1000)}):
        with pytest.raises(OptionError, match="--strips 2 is for the least RAM of one memory: add --optimize ram"):
            deploy(wide(), "host", strips=2, folder=tmp_path / "out", **options)
    with pytest.raises(OptionError, match="choose --input read or keep"):
        deploy(wide(), "host", strips=2, optimize="ram", input="push", folder=tmp_path / "out")
