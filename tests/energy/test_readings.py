"""Readings of one's own board: the CSV file, the device file, and what predictions make of it."""

import json
from dataclasses import replace

import pytest

from millijoule import predict_energy, zoo
from millijoule.cli import main
from millijoule.cost.device import list_devices, load_device, parse_device
from millijoule.cost.device_text import device_text
from millijoule.energy.fitted import linux
from millijoule.energy.readings import calibrated, check, read_runs
from millijoule.errors import DataError, DeviceError

BOARD = load_device("nucleo-f446re")
COMPUTER = load_device("odroid-tflite-2.7.1")


def known(name: str):
    return None if name == "mine" or len(name) == 1 else zoo.get(name)


def read(tmp_path, text: str, device=BOARD):
    path = tmp_path / "measured.csv"
    path.write_text(text)
    return read_runs(path, device, known)


def test_units_are_those_of_the_columns(tmp_path):
    one, two = read(tmp_path, "network,latency_us,power_w,instructions\nmine,2000,0.05,1000\nds_cnn,1000,0.04,500\n")
    assert (one.latency_ms, one.energy_mj, one.instructions, one.dense_weights) == (2.0, pytest.approx(0.1), 1000, 0)
    assert (two.latency_ms, two.energy_mj, two.dense_weights) == (1.0, pytest.approx(0.04), 768)
    (third,) = read(tmp_path, "network,latency_s,energy_uj\nmobilenet_v2,0.1,500\n", COMPUTER)
    assert (third.latency_ms, third.energy_mj, third.macs, third.layers) == (100.0, 0.5, 300_774_272, 53)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "network,latency,instructions\na,1,2\n",
            "line 2: column 'latency' has no unit; call it latency_us or latency_ms",
        ),
        ("network,latency_ms,power,instructions\na,1,2,3\n", "line 2: column 'power' has no unit"),
        ("network,latency_ms,instructions\na,1,2\nb,,2\n", "line 3: no latency; fill in latency_us, latency_ms"),
        ("network,latency_ms,instructions\na,1,\n", "line 2: column 'instructions' is empty"),
        ("network,latency_ms,instructions\n,1,2\n", "line 2: column 'network' is empty"),
        (
            "network,latency_ms,instructions\na,fast,2\n",
            "line 2: column 'latency_ms' is 'fast'; it must be a number above 0",
        ),
        ("network,latency_ms,instructions\na,-1,2\n", "line 2: column 'latency_ms' is '-1'"),
        ("network,latency_ms,instructions\na,nan,2\n", "line 2: column 'latency_ms' is 'nan'"),
        ("network,latency_ms,latency_s,instructions\na,1,1,2\n", "latency_ms and latency_s are both filled in"),
        ("network,latency_ms,energy_mj,power_w,instructions\na,1,1,1,2\n", "an energy and a power; give one"),
        ("network,latency_ms,energy_mj,instructions\na,1,1,2\nb,1,,2\n", "line 3: no energy or power, as other lines"),
        ("network,latency_ms,instructions\na,1\n", "line 2: 2 cells; the header has 3"),
        ("network,latency_ms,speed\na,1,2\n", "column 'speed' is twice there or not known"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_column(text, message, tmp_path):
    with pytest.raises(DataError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_computer_needs_networks_that_are_known(tmp_path):
    with pytest.raises(DataError, match="line 2: network 'mine' is not known"):
        read(tmp_path, "network,latency_ms\nmine,3\n", COMPUTER)
    with pytest.raises(DeviceError, match="'eyeriss' takes no readings"):
        calibrated(load_device("eyeriss"), "mine", (), "file")


@pytest.mark.parametrize("device", list_devices(), ids=lambda each: each.name)
def test_the_text_of_a_device_is_read_as_the_same_device(device):
    assert parse_device(device.name, device_text(device)) == device


def test_a_board_with_readings_is_written_and_read(tmp_path):
    readings = read(tmp_path, "network,latency_ms,energy_mj,instructions\nds_cnn,20,1,2800000\nresnet8,80,4,11000000\n")
    board = calibrated(BOARD, "my-board", readings, "measured.csv")
    again = parse_device("my-board", device_text(board))
    assert again == board
    first, second = check(board)
    assert first.predicted.latency_ms.value == pytest.approx(20, rel=0.1)
    assert second.predicted.energy_mj.value == pytest.approx(4, rel=0.1)
    assert first.predicted.latency_ms.low < 20 < first.predicted.latency_ms.high


def test_a_reading_of_a_network_with_a_like_mix_of_layers_weighs_more(tmp_path):
    rows = "network,latency_ms,instructions\nmobilenet_v1,1000,100000000\nresnet8,1000,100000000\nmine,1,1000\n"
    depthwise, windowed, unknown = read(tmp_path, rows)
    assert windowed.windowed_macs > 0.9 * windowed.macs
    assert 0 < depthwise.windowed_macs < 0.1 * depthwise.macs
    assert (unknown.macs, unknown.windowed_macs) == (0, 0)
    slow = replace(windowed, latency_ms=4000.0)
    board = calibrated(BOARD, "mine", (depthwise, slow), "me")
    assert parse_device("mine", device_text(board)) == board
    networks = (zoo.ds_cnn(), zoo.resnet8())
    ms = [predict_energy(network, board, instructions=100_000_000).latency_ms.value for network in networks]
    assert 1000 < ms[0] < 1500 < 3000 < ms[1] < 4000


def test_two_readings_of_a_published_system_predict_its_other_networks(tmp_path):
    """As if a Raspberry Pi 4 were a board of one's own: what was measured on it lies in the ranges."""
    runs = {run.network: run for run in linux.groups()["v2.0", "rpi4-tflite-v2.7.1-ruy", "fp32"]}
    rows = [
        f"{name},{runs[of].latency_ms},{runs[of].energy_mj}"
        for name, of in (("mobilenet_v1", "mobilenet-v1-1.0-224"), ("mobilenet_v2", "mobilenet-v2-1.0-224"))
    ]
    board = calibrated(
        COMPUTER, "mine", read(tmp_path, "\n".join(["network,latency_ms,energy_mj", *rows]), COMPUTER), "me"
    )
    small = zoo.get("mobilenet_v2", width=0.5)
    found, truth = predict_energy(small, board), runs["mobilenet-v2-0.5-224"]
    assert found.energy_mj.low < truth.energy_mj < found.energy_mj.high
    assert found.latency_ms.low < truth.latency_ms < found.latency_ms.high
    assert "2 readings on it (me)" in found.rests_on[0]
    assert found.tested


def test_a_reading_of_a_far_network_lets_networks_like_it_be_predicted(tmp_path):
    far = zoo.resnet50()
    board = calibrated(COMPUTER, "mine", read(tmp_path, "network,latency_ms\nmobilenet_v2,70\n", COMPUTER), "me")
    reason = dict(predict_energy(far, board).refused)["latency"]
    assert "outside of the" in reason
    assert "`millijoule fit`" in reason
    known = calibrated(COMPUTER, "mine", read(tmp_path, "network,latency_ms\nresnet50,900\n", COMPUTER), "me")
    found = predict_energy(far, known)
    assert found.latency_ms.value == pytest.approx(900)
    for network in (far, zoo.mobilenet_v2()):
        found = predict_energy(network, known)
        assert not found.tested
        assert "nothing tests it for other networks" in found.assumptions[0]


def test_ranges_of_arm_boards_are_not_claimed_for_a_gpu(tmp_path):
    rows = "network,latency_ms\nmobilenet_v1,1\nmobilenet_v2,0.9\n"
    board = calibrated(load_device("h100"), "mine", read(tmp_path, rows, COMPUTER), "me")
    assert not predict_energy(zoo.mobilenet_v2(), board).tested


def test_fit_writes_a_device_that_cost_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "measured.csv").write_text("network,latency_ms,power_mw,instructions\nresnet8,80,50,11000000\n")
    arguments = ["fit", "--runs", "measured.csv", "--device", "my-board"]
    assert main(arguments) == 2
    assert "device 'my-board' is not known; say which device it is like with --like" in capsys.readouterr().err
    assert not (tmp_path / "my-board.toml").exists()
    assert main([*arguments, "--like", "nucleo-f446re"]) == 0
    assert "One reading: nothing to hold it against." in capsys.readouterr().out
    assert main(["cost", "ds_cnn", "--device", "my-board.toml", "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)["prediction"]
    assert predicted["energy_mj"]["value"] == pytest.approx(predicted["latency_ms"]["value"] * 50 / 1000)
    assert main([*arguments, "--like", "nucleo-f446re"]) == 2
    assert "'my-board.toml' exists: add --force to replace it" in capsys.readouterr().err
    assert main([*arguments, "--like", "nucleo-f446re", "--force"]) == 0
    (tmp_path / "notes.toml").write_text("[a]\n")
    assert main([*arguments, "--like", "nucleo-f446re", "--out", "notes.toml", "--force"]) == 2
    assert "exists and is no device file" in capsys.readouterr().err
