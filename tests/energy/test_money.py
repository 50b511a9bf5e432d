"""Money and carbon: worked by hand, from prices that anyone can change."""

import json

import pytest

from millijoule import predict_energy, zoo
from millijoule.cli import main
from millijoule.cost.device import load_device
from millijoule.energy import money
from millijoule.errors import DataError, OptionError

FILE = """
[electricity]
usd_per_kwh = 0.5
source = "my bill"
[grid]
gco2e_per_kwh = 100.0
source = "my grid"
[machine]
years = 2.0
source = "mine"
"""


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    return money.read_prices(path)


def test_a_million_inferences_are_worked_by_hand(prices):
    device = load_device("nucleo-u575zi-q")
    predicted = predict_energy(zoo.ds_cnn(), device, instructions=3_000_000)
    bill = money.inferences(predicted, device, prices)
    kwh = predicted.energy_mj.value * 1e6 / 1000 / 3.6e6  # mJ of a million -> J -> kWh
    assert bill.energy_kwh.value == pytest.approx(kwh)
    assert bill.electricity_usd.value == pytest.approx(kwh * 0.5)
    assert bill.carbon_kg.high == pytest.approx(predicted.energy_mj.high / 3600 * 0.1)
    assert bill.hours.value == pytest.approx(predicted.latency_ms.value / 3.6)
    assert bill.machine_usd is None


def test_the_machine_of_the_lecture_costs_more_than_its_electricity(prices):
    device = load_device("server-8-h100")
    bill = money.training(device, 24.0, prices)
    assert bill.energy_kwh.high == pytest.approx(24 * 8 * 0.7)
    assert bill.energy_kwh.value is None  # a bound: its power was not measured
    assert bill.machine_usd.value == pytest.approx(311_221 * 24 / (2 * 365.25 * 24))
    assert bill.machine_usd.value > bill.electricity_usd.high
    assert "lecture" in dict(bill.sources)["price_usd"]
    measured = money.training(device, 24.0, prices, power_w=4000.0)
    assert measured.energy_kwh.value == pytest.approx(96.0)
    assert measured.missing == ()
    assert "no figure for the rest of the machine" in " ".join(bill.missing)


def test_what_is_refused_has_no_price(prices):
    device = load_device("nrf52840-dk")
    bill = money.inferences(predict_energy(zoo.ds_cnn(), device), device, prices)
    assert bill.electricity_usd is None
    assert bill.carbon_kg is None
    assert any(text.startswith("no energy: no power was published") for text in bill.missing)
    with pytest.raises(OptionError, match="'nrf52840-dk' states no power: give --power, as 350W"):
        money.training(device, 1.0, prices)


def test_the_prices_of_the_package_have_sources():
    found = money.read_prices()
    assert 0.01 < found.usd_per_kwh < 1
    assert 10 < found.gco2e_per_kwh < 1000
    assert all(source for _, source in found.sources)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("usd_per_kwh = 0.5", "", "[electricity] has no 'usd_per_kwh'"),
        ("usd_per_kwh = 0.5", "usd_per_kwh = 'dear'", "usd_per_kwh is 'dear'; it must be a number above 0"),
        ("years = 2.0", "years = 0", "years is 0"),
        ('source = "my grid"', "", "[grid] has no source"),
        ("[machine]", "[machine", "prices"),
    ],
)
def test_wrong_prices_are_named(old, new, message, tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(DataError) as error:
        money.read_prices(path)
    assert message in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        money.read_prices(tmp_path / "none.toml")


def test_price_prints_json_and_copies_its_prices(tmp_path, capsys):
    copy = tmp_path / "mine.toml"
    assert main(["price", "--copy", str(copy)]) == 0
    copy.write_text(copy.read_text().replace("481.0", "962.0"))
    arguments = ["price", "mobilenet_v2", "--device", "raspberry-pi-4-tflite-2.7.1", "--json"]
    carbon = []
    for more in ([], ["--prices", str(copy)]):
        assert main([*arguments, *more]) == 0
        carbon.append(json.loads(capsys.readouterr().out)["carbon_kg"]["value"])
    assert carbon[1] == pytest.approx(2 * carbon[0])
    assert main(["price", "--copy", str(copy)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet5"], "price needs --device"),
        (["--device", "h100"], "price needs --device and a MODEL"),
        (["lenet5", "--device", "h100", "--hours", "1"], "price needs --device and a MODEL"),
        (["lenet5", "--device", "h100", "--power", "1W"], "--power goes with --hours"),
    ],
)
def test_options_that_make_no_sense(arguments, message, capsys):
    assert main(["price", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_price_of_a_training_run_is_a_table(capsys):
    assert main(["price", "--device", "server-8-h100", "--hours", "24"]) == 0
    text = capsys.readouterr().out
    assert "at most 134" in text
    assert "311,221" in text
