"""A graph that is kept as plain values is the same graph."""

import json

import pytest

from millijoule import zoo
from millijoule.errors import DataError
from millijoule.train.structure import from_plain, to_plain
from tests.networks import small_graph


@pytest.mark.parametrize("entry", zoo.entries(), ids=lambda entry: entry.name)
def test_every_network_of_the_zoo_comes_back(entry):
    graph = entry.function()
    assert from_plain(json.loads(json.dumps(to_plain(graph)))) == graph


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain.pop("inputs"),
        lambda plain: plain["nodes"][0].update(operator="Nothing"),
        lambda plain: plain["nodes"][0].update(operator="__all__"),
        lambda plain: plain["nodes"][0]["attributes"].update(colour=1),
        lambda plain: plain["nodes"][0]["attributes"].update(channels=0),
        lambda plain: plain["nodes"][1].update(inputs=["nowhere"]),
        lambda plain: plain.update(outputs=[]),
        lambda plain: plain.update(nodes=None),
    ],
)
def test_what_is_no_graph_is_said_in_one_line(spoil):
    plain = json.loads(json.dumps(to_plain(small_graph())))
    spoil(plain)
    with pytest.raises(DataError, match=r"the graph that is kept is none .*: train the network again"):
        from_plain(plain)
