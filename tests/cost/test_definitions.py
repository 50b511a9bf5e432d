"""Every figure of a cost has a definition."""

import pytest

from millijoule.cost import Cost, LayerCost
from millijoule.cost.definitions import DEFINITIONS, define
from millijoule.errors import OptionError


def test_every_field_is_defined():
    plain = {"name", "operator", "family", "output_shape", "layers", "counted"}
    fields = (set(Cost.__dataclass_fields__) | set(LayerCost.__dataclass_fields__)) - plain
    assert fields <= set(DEFINITIONS)
    assert set(DEFINITIONS) - fields == {"arena_bytes", "arena_layer", "latency_ms", "energy_uj"}


def test_an_unknown_figure_names_the_nearest():
    assert "multiply" in define("macs")
    with pytest.raises(OptionError, match="'mac' has no definition; did you mean macs"):
        define("mac")
