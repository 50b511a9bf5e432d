"""Networks beside each other: counts, published accuracy, order, bad names."""

import json

import pytest

from millijoule import zoo
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.csv_file import package_csv
from millijoule.errors import OptionError
from millijoule.export.tflite import to_tflite
from millijoule.survey.compare import COLUMNS, LECTURE, Compared, compare, published
from tests.networks import small_int8_model
from tests.test_cli import assert_one_line_error, run


def test_counts_stand_beside_published_accuracy():
    (row,) = compare([zoo.get("resnet152")])
    counted = cost(zoo.get("resnet152"))
    assert (row.params, row.macs, row.size_bytes) == (60_192_808, counted.macs, counted.size_bytes)
    assert (row.top1, row.top5) == (78.312, 94.046)
    assert row.top1_per_million == pytest.approx(78.312 / 60.192808)
    assert "IMAGENET1K_V1" in row.weights
    assert row.source


def test_every_accuracy_names_a_network_of_the_zoo_its_weights_and_its_source():
    known = {entry.name for entry in zoo.entries()}
    for name, accuracy in published().items():
        assert name in known
        assert 50 < accuracy.top1 < 90
        assert accuracy.top5 is None or accuracy.top1 < accuracy.top5 < 100
        assert accuracy.weights
        assert accuracy.source
    assert set(LECTURE) <= set(published())


def test_histories_name_their_sources():
    for name, columns in (
        ("imagenet.csv", ("year", "entry", "depth", "error", "source")),
        ("voc.csv", ("year", "detector", "training", "map", "source")),
    ):
        rows = package_csv("survey", name, columns)
        assert len(rows) >= 7
        assert all(row[column] for row in rows for column in columns if column != "depth")
        assert [row["year"] for row in rows] == sorted(row["year"] for row in rows)


def test_sorts_by_any_column_and_puts_what_is_unknown_last():
    graphs = [zoo.get(name) for name in ("resnet8", "lenet5", "alexnet", "mobilenet_v2")]
    assert set(COLUMNS) <= set(Compared.__dataclass_fields__)
    for column in COLUMNS:
        for descending in (False, True):
            values = [getattr(row, column) for row in compare(graphs, sort=column, descending=descending)]
            known = [value for value in values if value is not None]
            assert values == sorted(known, reverse=descending) + [None] * (len(values) - len(known))
    with pytest.raises(OptionError, match="no column 'mac'; did you mean macs"):
        compare(graphs, sort="mac")


def test_the_command_takes_networks_and_files(capsys, tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(to_tflite(small_int8_model()))
    assert main(["compare", "lenet5", str(path), "--sort", "macs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["small", "lenet5"]
    assert main(["compare"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet152", "resnet15"], ["no network 'resnet15'", "did you mean resnet152"]),
        (["lenet5", "--html", "charts.html"], ["published accuracy"]),
        (["resnet152", "--html", "charts.pdf"], ["charts.pdf", ".html", "--pictures"]),
        (["resnet152", "--pictures", "charts.svg"], ["charts.svg", "no folder"]),
        (["resnet152", "--html", "no/folder/charts.html"], ["no/folder", "choose another --html"]),
        (["resnet152", "--sort", "colour"], ["no column 'colour'"]),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(run(capsys, "compare", *arguments), *words)
    assert list(tmp_path.iterdir()) == []
