"""Sentences that follow from the numbers, and changes that are applied to the graph."""

import json

import pytest

from millijoule import zoo
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.survey.explain import FIGURES, INT8, explain
from tests.networks import small_int8_model


def test_alexnet_is_large_in_size_but_small_in_operations():
    text = " ".join(explain(zoo.get("alexnet")).sentences)
    assert "Fully connected layers hold 96 % of the parameters and do 8 % of the MACs." in text
    assert "Convolutions hold 4 % of the parameters and do 92 % of the MACs." in text
    assert "large in size but small in operations" in text
    assert "used once for an image" in text


def test_a_network_without_dense_layers_in_the_lead_is_not_called_that():
    assert "large in size" not in " ".join(explain(zoo.get("resnet8")).sentences)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "mobilenet_v1_025", "autoencoder", "alexnet"])
def test_changes_are_ranked_by_what_they_save(name):
    graph = zoo.get(name)
    before, found = cost(graph), explain(graph)
    applied = [change for change in found.changes if not change.reason]
    assert len(applied) >= 3
    ranks = [change.rank for change in applied]
    assert ranks == sorted(ranks, reverse=True)
    for change in applied:
        assert change.saved["macs"] == pytest.approx(1 - change.macs / before.macs)
        assert change.saved["size_bytes"] == pytest.approx(1 - change.size_bytes / before.size_bytes)
        assert change.rank == pytest.approx(sum(change.saved[figure] for figure in FIGURES) / 3)
    for change in found.changes[len(applied) :]:
        assert change.reason
        assert not change.saved


def test_int8_quarters_size_and_memory_and_no_work():
    change = next(each for each in explain(zoo.get("lenet5")).changes if each.title == INT8)
    assert change.saved["peak_ram_bytes"] == 0.75
    assert 0.74 < change.saved["size_bytes"] < 0.75
    assert change.saved["macs"] == 0
    assert INT8 not in {each.title for each in explain(small_int8_model()).changes}


def test_the_command(capsys):
    assert main(["explain", "lenet5"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "61,706 parameters" in out
    assert "Does not apply: 1x1 bottlenecks" in out
    assert main(["explain", "lenet5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"][0]["saved"]["macs"] > 0
    assert main(["explain", "lenet"]) == 2
    assert "lenet5" in capsys.readouterr().err
