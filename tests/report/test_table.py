"""Tables, character by character, from consoles of fixed width."""

import io

import pytest
from rich.console import Console

from millijoule import zoo
from millijoule.cost import cost
from millijoule.cost.device import load_device
from millijoule.plan import picture, plan
from millijoule.report.cost.tables import cost as cost_tables
from millijoule.report.deployment import tables
from millijoule.report.layout import print_tables
from millijoule.report.lists.networks import summarise
from millijoule.report.lists.tables import devices, doctor
from millijoule.report.lists.tables import zoo as zoo_tables
from millijoule.report.plan import tables as plan_tables
from millijoule.run.doctor import Check
from tests.networks import small_graph
from tests.report.deployments import ACCURACY, chain, deployment


def shown(tables, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    print_tables(tables, console)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


DEPLOYMENT_80 = """\
small on nucleo-f446re: ST NUCLEO-F446RE (STM32F446RE), Cortex-M4 at 180 MHz

Bit for bit: all 60 output bytes of the firmware equal the reference.

                            computed  firmware             device
-----------------------------------------------------------------
accuracy, float              98.61 %
accuracy, int8               98.33 %   98.33 %
flash, bytes                            61,234  11.7 % of 524,288
peak RAM (arena), bytes          720       720
static RAM, bytes                          852   0.7 % of 131,072
stack, bytes                               312   0.2 % of 131,072
parameters                       211
MACs                           7,164
instructions per inference              28,700
instructions per MAC                      4.01
cycles, estimate              38,458             34,440 to 47,355
latency, ms, predicted         0.249               0.197 to 0.314
energy, mJ, predicted        refused

Note: it rests on 1.33 cycles for each instruction: CMSIS-NN on ek-ra6m4,
nrf5340-dk, nucleo-l4r5zi and numaker-m467hj; nothing ran on this board; ours
take 1.17 times theirs by their kinds

Note: our own kernels have run on no board yet: that memories slow their
instructions, counted by kind, as they slow CMSIS-NN's is an assumption

Note: no energy: no power was published for this board, and that of others is 45
to 70 % off; one reading on it (`millijoule fit`) brings this into range

                             weights,  live RAM,  instructions,
#  layer               MACs     bytes    planned       measured   share
-----------------------------------------------------------------------
1  c1                 5,184        52        720         18,432  64.3 %
2  p1                     0         0        720            720   2.5 %
3  dw                 1,296        52        288          4,608  16.1 %
4  pw                   576        32        432          2,448   8.5 %
5  add                    0         0        288            720   2.5 %
6  p2                     0         0        180            180   0.6 %
7  flat                   0         0         36              0
8  fc                   108       120         39            339   1.2 %
9  softmax                0         0          3             15   0.1 %
   around the layers                                      1,200   4.2 %
-----------------------------------------------------------------------
   total, peak RAM    7,164       256        720         28,662

The instructions of layers are those of the first sample.

Firmware project and report: small-nucleo-f446re-firmware
"""

LAYERS_120 = """\
                                                             weights,  live RAM,  instructions,
#  layer              operator       output    MACs   share     bytes    planned       measured   share  per MAC
----------------------------------------------------------------------------------------------------------------
1  c1                 Conv2d         12x12x4  5,184  72.4 %        52        720         18,432  64.3 %     3.56
2  p1                 MaxPool2d      6x6x4        0                 0        720            720   2.5 %
3  dw                 Conv2d         6x6x4    1,296  18.1 %        52        288          4,608  16.1 %     3.56
4  pw                 Conv2d         6x6x4      576   8.0 %        32        432          2,448   8.5 %     4.25
5  add                Add            6x6x4        0                 0        288            720   2.5 %
6  p2                 AveragePool2d  3x3x4        0                 0        180            180   0.6 %
7  flat               Flatten        36           0                 0         36              0
8  fc                 Dense          3          108   1.5 %       120         39            339   1.2 %     3.14
9  softmax            Softmax        3            0                 0          3             15   0.1 %
   around the layers                                                                      1,200   4.2 %
----------------------------------------------------------------------------------------------------------------
   total, peak RAM                            7,164               256        720         28,662             4.00
"""

HOST_80 = """\
small on host: this computer

Bit for bit: all 60 output bytes of the host C equal the reference.

                         computed   host C
------------------------------------------
accuracy, float           98.61 %
accuracy, int8            98.33 %  98.33 %
peak RAM (arena), bytes       720        -
parameters                    211
MACs                        7,164
"""

COST_80 = """\
lenet5

                       count
---------------------------------------------------------------------
parameters            61,706  convolution 4.2 %, dense 95.8 %
running statistics         0  of batch-norm, not trained
MACs                 416,520  convolution 85.9 %, dense 14.1 %
FLOPs                833,040  2 x MACs
other operations      12,812  activation 6.51 k, pooling 6.30 k
connections          423,038  MACs + bias additions
neurons                6,518  outputs of layers with MACs
size float32, bytes  246,824  0.2468 MB, 0.2354 MiB
size float16, bytes  123,412  0.1234 MB, 0.1177 MiB
size int8, bytes      62,414  0.06241 MB, 0.05952 MiB
activations            9,118  all values: 0.03647 MB, 0.03478 MiB
peak RAM, bytes       23,520  layer by layer, nothing in place; in s2
peak RAM eager        37,024  PyTorch's tensors; in s2
peak RAM in place     23,520  batch-norm folded; in s2
bytes moved          315,632  2.64 FLOPs per byte

                                                           weights,  live RAM,
#  layer            output    parameters     MACs   share     bytes      bytes
------------------------------------------------------------------------------
1  c1               28x28x6          156  117,600  28.2 %       624     22,912
2  s2               14x14x6            0        0                 0     23,520
3  c3               10x10x16       2,416  240,000  57.6 %     9,664     11,104
4  s4               5x5x16             0        0                 0      8,000
5  flatten          400                0        0                 0      1,600
6  c5               120           48,120   48,000  11.5 %   192,480      2,080
7  f6               84            10,164   10,080   2.4 %    40,656        816
8  output           10               850      840   0.2 %     3,400        376
------------------------------------------------------------------------------
   total, peak RAM                61,706  416,520           246,824     23,520
"""

DEVICES_80 = """\
device           board or chip           core          clock      flash      RAM
--------------------------------------------------------------------------------
host             this computer           -                 -          -        -
nucleo-g0b1re    ST NUCLEO-G0B1RE        Cortex-M0+   64 MHz    512 KiB  144 KiB
                 (STM32G0B1RE)
nucleo-u575zi-q  ST NUCLEO-U575ZI-Q      Cortex-M33  160 MHz  2,048 KiB  768 KiB
                 (STM32U575ZI)
"""

DEVICES_120 = """\
device           board or chip                     core          clock      flash      RAM
------------------------------------------------------------------------------------------
host             this computer                     -                 -          -        -
nucleo-g0b1re    ST NUCLEO-G0B1RE (STM32G0B1RE)    Cortex-M0+   64 MHz    512 KiB  144 KiB
nucleo-u575zi-q  ST NUCLEO-U575ZI-Q (STM32U575ZI)  Cortex-M33  160 MHz  2,048 KiB  768 KiB
"""

ZOO_120 = """\
network  what                  year  input    parameters     MACs      published
--------------------------------------------------------------------------------
lenet5   LeNet-5, modern form  1998  32x32x1      61,706  416,520  61.7 k, 417 k
"""

DOCTOR_80 = """\
          found    what for
------------------------------------
numpy     2.4.6    all arithmetic
datasets  MISSING  data sets by name

hint: pip install datasets
"""


def test_deployment_at_80_columns():
    assert shown(tables.deployment(deployment()), 80) == DEPLOYMENT_80


def test_deployment_at_120_columns_says_more():
    text = shown(tables.deployment(deployment()), 120)
    summary, _ = DEPLOYMENT_80.split("instructions per MAC")
    assert text.startswith(summary)
    assert LAYERS_120 in text


def test_deployment_on_the_host():
    text = shown(tables.deployment(deployment(device="host")), 80)
    assert text.startswith(HOST_80 + "\n")
    assert "instructions" not in text


def test_a_deployment_that_was_not_run():
    unknown = {"float": None, "int8_host": None, "int8_device": None}
    made = deployment(measurement=None, outputs_compared=0, outputs_equal=0, accuracy=unknown, notes=("why [not]",))
    text = shown(tables.deployment(made), 80)
    assert "Not run: nothing was compared with the reference.\n" in text
    assert "accuracy, int8                     -         -\n" in text
    assert "stack, bytes                                 -\n" in text
    assert "Note: why [not]\n" in text


def test_wrong_outputs_are_called_wrong():
    text = shown(tables.deployment(deployment(outputs_equal=59)), 80)
    assert "WRONG: 1 of 60 output bytes of the firmware differ from the reference." in text
    assert "Bit for bit" not in text


def test_cost():
    assert shown(cost_tables(cost(zoo.lenet5())), 80) == COST_80
    assert "2  s2               MaxPool2d  14x14x6 " in shown(cost_tables(cost(zoo.lenet5())), 120)


def test_devices():
    known = [load_device(name) for name in ("host", "nucleo-g0b1re", "nucleo-u575zi-q")]
    assert shown(devices(known), 80) == DEVICES_80
    assert shown(devices(known), 120) == DEVICES_120
    only_predicted = shown(devices([*known, load_device("h100")]), 80)
    assert only_predicted == f"{DEVICES_80}\nOnly predicted (cost --device):\nh100\n  NVIDIA H100 SXM (80 GB)\n"


def test_zoo():
    networks = summarise([entry for entry in zoo.entries() if entry.name == "lenet5"])
    assert shown(zoo_tables(networks), 120) == ZOO_120
    assert "1998" not in shown(zoo_tables(networks), 80)


def test_doctor():
    checks = [
        Check("numpy", True, "2.4.6", "all arithmetic", "pip install numpy"),
        Check("datasets", False, "", "data sets by name", "pip install datasets"),
    ]
    assert shown(doctor(checks), 80) == DOCTOR_80
    assert "hint" not in shown(doctor(checks[:1]), 80)


def test_a_tool_without_a_part_that_it_needs():
    check = Check("gcc", False, "12.2 without newlib", "compiling", "apt-get install libnewlib")
    assert "MISSING 12.2 without newlib" in shown(doctor([check]), 80)


def test_plan():
    planned = plan(small_graph())
    assert shown(plan_tables.plan(planned), 80) == picture(planned, 80)
    assert shown(plan_tables.plan(planned), 60) == picture(planned, 60)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("layers", [3, 70])
def test_no_line_is_too_wide_and_no_number_is_cut(width, layers):
    made = deployment(chain(layers, name="a_network_with_quite_a_long_name"))
    big = [layer | {"macs": 123_456_789, "instructions": 1_234_567_890} for layer in made.layers()]
    object.__setattr__(made, "layers", lambda: tuple(big))
    for made_tables in (tables.deployment(made), cost_tables(made.cost), devices([made.device])):
        text = shown(made_tables, width)
        assert max(map(len, text.splitlines())) <= width
    text = shown(tables.deployment(made), width)
    assert text.count("1,234,567,890") == layers
    assert text.count("123,456,789") == layers


def test_names_are_shown_as_they_are():
    made = deployment(chain(3, name="[bold]net[/bold] :smile:"), notes=("[red]careful[/red]",))
    text = shown(tables.deployment(made), 120)
    assert "[bold]net[/bold] :smile: on nucleo-f446re" in text
    assert "Note: [red]careful[/red]" in text


def test_plain_text_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_tables(tables.deployment(deployment()))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.isascii()


def test_accuracies_that_are_not_known():
    text = shown(tables.deployment(deployment(accuracy=ACCURACY | {"float": None})), 80)
    assert "accuracy, float                    -\n" in text
