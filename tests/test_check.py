"""Budgets: what is measured, what is predicted, what is refused, and the forms in which it is told."""

import json
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import pytest

from millijoule import zoo
from millijoule.check import check
from millijoule.cli import main
from millijoule.cost import cost
from millijoule.cost.device import load_device
from millijoule.errors import DataError, OptionError
from millijoule.graph import Builder
from millijoule.ops import Conv2d
from millijoule.report.check import Budget, text
from millijoule.report.check.result import compare, figures_of, read_baseline
from tests.networks import random_int8, small_int8_model

BUDGETS = [Budget("ram", 64_000), Budget("flash", 200_000), Budget("energy", 5.0), Budget("latency", 200.0)]


@pytest.fixture(scope="module")
def met():
    return check(small_int8_model(), "nucleo-l4r5zi", BUDGETS)


def test_memory_is_measured_and_energy_is_the_upper_end_of_its_range(met):
    assert met.is_met
    ram, flash, energy, latency = met.verdicts
    assert 720 < ram.used < 4_000
    assert ram.nominal is None
    assert 5_000 < flash.used < 40_000
    assert energy.used == met.prediction.energy_mj.high
    assert energy.nominal == met.prediction.energy_mj.value
    assert latency.used == met.prediction.latency_ms.high


def test_the_most_likely_value_counts_on_request(met):
    limit = (met.prediction.energy_mj.value + met.prediction.energy_mj.high) / 2
    model = small_int8_model()
    assert not check(model, "nucleo-l4r5zi", [Budget("energy", limit)]).is_met
    assert check(model, "nucleo-l4r5zi", [Budget("energy", limit)], nominal=True).is_met


def test_what_is_not_known_is_not_met():
    found = check(zoo.ds_cnn(), "nrf52840-dk", [Budget("energy", 1000.0), Budget("latency", 1000.0)])
    assert [verdict.is_met for verdict in found.verdicts] == [False, True]
    assert "no power was published for this board" in found.verdicts[0].note
    assert "not known" in text.sentence(found.verdicts[0])


def test_a_model_that_does_not_fit_exceeds_its_budgets():
    board = load_device("nucleo-f103rb")
    assert board.flash is not None
    tiny = replace(board, flash=replace(board.flash, bytes=1024))
    found = check(small_int8_model(), tiny, BUDGETS)
    by_name = {verdict.quantity: verdict for verdict in found.verdicts}
    assert "it does not fit the device" in by_name["energy"].note
    assert not by_name["energy"].is_met


def test_memory_has_no_budget_without_firmware():
    with pytest.raises(OptionError, match="RAM and flash of 'ds_cnn' on 'nucleo-l4r5zi' are not known"):
        check(zoo.ds_cnn(), "nucleo-l4r5zi", [Budget("ram", 1e6)])
    with pytest.raises(OptionError, match="check needs a budget"):
        check(zoo.ds_cnn(), "nucleo-l4r5zi", [])


def test_layers_are_compared_with_a_baseline(met, tmp_path):
    path = tmp_path / "base.json"
    path.write_text(json.dumps(met.to_json()))
    same = read_baseline(path)
    assert compare(same, met.layers) == ()
    assert same["c1"]["instructions"] > 0
    other = {name: dict(figures) for name, figures in same.items() if name != "p1"}
    other["c1"]["macs"] -= 4
    found = compare(other, met.layers)
    assert (found[0].layer, found[0].figure, found[0].now - found[0].before) == ("c1", "macs", 4)
    assert {(each.layer, each.before) for each in found[1:]} == {("p1", None)}
    gone = compare(met.layers, other)
    assert [each.now for each in gone if each.layer == "p1"] == [None] * 4


def test_a_model_that_did_not_change_has_no_differences_whatever_the_baseline_is_of():
    """`cost` counts the model as it is given; firmware has no channels that are constant, here half of a layer's."""
    build = Builder("constant", (6, 6, 2))
    build("c1", Conv2d(channels=4, kernel=1, activation="relu"))
    build("c2", Conv2d(channels=2, kernel=3))
    model = random_int8(build.graph())
    model.weights["c1.bias"][2:] = -(10**6)
    budgets = [Budget("flash", 200_000)]
    built = check(model, "nucleo-l4r5zi", budgets)
    given = {each["name"]: figures_of(each) for each in cost(model).to_json()["layers"]}
    assert built.layers["c1"]["macs"] < given["c1"]["macs"]
    for baseline in (given, built.layers):
        assert check(model, "nucleo-l4r5zi", budgets, baseline=baseline).differences == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON"), ("[]", "has no layers"), ('{"layers": [1]}', "has no layers"), (None, "cannot be read")],
)
def test_wrong_baselines(content, message, tmp_path):
    path = tmp_path / "base.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_baseline(path)


def test_markdown_is_a_table_that_github_shows(met):
    lines = text.markdown(met).splitlines()
    assert lines[0] == "### ✅ small on nucleo-l4r5zi: all 4 budgets are met"
    assert lines[2:4] == ["| budget | limit | needed | most likely |  |", "|---|---:|---:|---:|---:|"]
    assert [line.split("|")[1].strip() for line in lines[4:8]] == [
        "ram, bytes",
        "flash, bytes",
        "energy, mJ",
        "latency, ms",
    ]
    assert any(line.startswith("- it rests on") for line in lines)
    renamed = replace(met, model="a|b`c")
    assert "a\\|b\\`c" in text.markdown(renamed)


def test_junit_has_a_case_for_each_budget(met):
    """What the schema of Ant's reports asks for, in its order; Jenkins's allows all of it."""
    failing = replace(met, model="a<b&c", verdicts=(replace(met.verdicts[0], limit=1.0), *met.verdicts[1:]))
    suite = ElementTree.fromstring(text.junit(failing, datetime(2026, 1, 2, 3, 4, 5, 678)))
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "4", "1")
    assert suite.get("name") == "a<b&c on nucleo-l4r5zi"
    assert suite.get("timestamp") == "2026-01-02T03:04:05"
    assert set(suite.keys()) >= {"errors", "skipped", "time", "hostname"}
    assert [child.tag for child in suite] == ["properties", *["testcase"] * 4, "system-out", "system-err"]
    first, *others = suite.findall("testcase")
    assert first.find("failure").get("message").startswith("ram: ")
    assert first.find("failure").get("type") == "budget"
    assert all(case.find("failure") is None for case in others)
    assert all(case.keys() == ["classname", "name", "time"] for case in suite.iter("testcase"))
    assert "it rests on" in suite.find("system-out").text


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--max-energy", "5", "'5': it has no unit; write it as 5mJ"),
        ("--max-energy", "5kWh", "the unit 'kWh' is not known"),
        ("--max-energy", "5MJ", "the unit 'MJ' is not known"),
        ("--max-latency", "200", "it has no unit"),
        ("--max-ram", "64", "'64': it has no unit; write it as 64KB"),
        ("--max-flash", "0KB", "is not an amount above 0"),
    ],
)
def test_a_budget_without_a_unit_is_one_line(option, value, message, capsys):
    with pytest.raises(SystemExit) as error:
        main(["check", "ds_cnn", "--device", "nucleo-l4r5zi", option, value])
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_units_of_budgets_are_those_of_the_field():
    from millijoule.cli.check import energy, size, time

    assert (size("64KB"), size("1 KiB"), energy("800uJ"), energy("0.2J")) == (64_000, 1024, 0.8, 200)
    assert (time("1.5s"), time("50us"), time("200 ms")) == (1500, 0.05, 200)


def test_the_exit_code_tells(capsys, tmp_path):
    arguments = ["check", "ds_cnn", "--device", "nucleo-l4r5zi", "--max-energy"]
    assert main([*arguments, "100mJ"]) == 0
    assert "the budget is met" in capsys.readouterr().out
    report, comment, base = tmp_path / "junit.xml", tmp_path / "comment.md", tmp_path / "base.json"
    assert main(["cost", "ds_cnn", "--json"]) == 0
    base.write_text(capsys.readouterr().out)
    files = ["--junit", str(report), "--markdown", str(comment), "--baseline", str(base)]
    assert main([*arguments, "1nJ", *files]) == 1
    shown = capsys.readouterr()
    assert "EXCEEDED" in shown.out
    assert "no layer differs" in shown.out
    assert shown.err.startswith("error: energy: ")
    assert ElementTree.parse(report).getroot().get("failures") == "1"
    assert comment.read_text(encoding="utf-8").startswith("### ❌")
    assert main([*arguments, "100mJ", *files]) == 0, "the next check replaces its reports"
    assert ElementTree.parse(report).getroot().get("failures") == "0"
