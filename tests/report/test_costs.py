"""The cost in the terminal and as a page: whole at every width, definitions, what is not counted."""

import json
import re

import pytest

from millijoule import zoo
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.graph import Builder
from millijoule.ops import Conv2d, Dense, Opaque
from millijoule.plan import Buffer, Plan
from millijoule.report.cost import tables
from millijoule.report.cost.page import cost_page
from tests.report.test_page import HOSTILE, Reader
from tests.report.test_table import shown
from tests.test_cli import assert_one_line_error, run


def partly_known(name: str = "partly"):
    build = Builder(name, (8, 8, 1))
    build("conv", Conv2d(channels=2, kernel=3))
    build("top", Opaque(operator="TopK", output=(10,), arrays=(("weight", (3, 3)),)))
    build("fc", Dense(features=4))
    return cost(build.graph())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_is_whole_at_every_width(width):
    text = shown(tables.cost(cost(zoo.mobilenet_v1_025())), width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert words.count("7,489,664") >= 2, "totals are never cut"
    assert "216,322" in words


def test_what_is_not_counted_is_named_and_totals_say_at_least():
    found = partly_known()
    assert found.not_counted == {"top": "TopK"}
    text = shown(tables.cost(found), 100)
    assert "Not counted: top (TopK). Every total is at least what stands here." in text
    assert re.search(r"MACs +at least 688 ", text)
    assert ">= 688" in text
    assert re.search(r"2 +top +TopK .* not counted", text)
    assert "Not counted" not in shown(tables.cost(cost(zoo.lenet5())), 100)


def test_the_page_holds_every_layer_and_escapes_names():
    found = partly_known(HOSTILE)
    text = cost_page(found, Plan("partly", ("input", "conv"), (Buffer(("conv",), 1234, 1, 1, 0),), 1234, 1234))
    reader = Reader(text)
    assert "<script>alert" not in text
    words = " ".join(words for _, words in reader.texts)
    for layer in found.layers:
        assert layer.name in words
    assert "1,234 int8, as deployed; in conv" in words
    assert "Not counted: top (TopK)" in words
    numbers = json.loads(re.search(r'id="cost">(.*?)</script>', text, re.DOTALL)[1])
    assert numbers == json.loads(json.dumps(found.to_json()))
    assert not any({"src", "onload"} & attributes.keys() for _, attributes in reader.elements)


def test_definitions_are_printed(capsys):
    assert main(["cost", "--define", "macs"]) == 0
    one = capsys.readouterr().out
    assert one.startswith("macs\nMultiply-accumulates")
    assert main(["cost", "--define", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) > {"macs", "eager_peak_bytes", "neurons"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--define", "mac"], ["'mac'", "macs"]),
        ([], ["needs a network", "millijoule zoo"]),
        (["lenet5", "--html", "no/such/folder/page.html"], ["no/such/folder", "choose another --html"]),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(run(capsys, "cost", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_the_arena_is_planned_on_request(capsys):
    assert main(["cost", "resnet8", "--arena", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arena_bytes"] == 3 * 32 * 32 * 16  # the block's input, its first map and its second
    assert found["arena_layer"] == "stack1_b"
