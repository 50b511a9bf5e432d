"""Claims and their verdicts: the lecture's against published figures, bad files in one line."""

import json
import sys

import pytest

from millijoule.cli import main
from millijoule.errors import DataError
from millijoule.survey.audit import OPTIONAL, REQUIRED, audit, audit_text, tally

HEAD = "network,quantity,claimed,unit"


def finding(row: str, head: str = HEAD):
    (found,) = audit_text(f"{head}\n{row}\n")
    return found


@pytest.mark.parametrize(
    ("row", "verdict", "found"),
    [
        ("lenet5,params,61706,1", "right", 61_706),
        ("lenet5,params,60,K", "wrong", 61.706),
        ("lenet5,params,61,K", "right", 61.706),
        ("lenet5,macs,416520,1", "right", 416_520),
        ("lenet5,flops,0.83,M", "right", 0.83304),
        ("lenet5,size,246824,bytes", "right", 246_824),
        ("lenet5,size,0.235,MB", "right in MiB", 0.246824),
        ("lenet5,size,0.235,MiB", "right", 0.246824e6 / 2**20),
        ("lenet5,size,0.5,MB", "wrong", 0.246824),
        ("lenet5,layers,5,1", "right", 5),
        ("lenet5,hidden_layers,4,1", "right", 4),
        ("lenet5,hidden_layers,5,1", "wrong", 4),
        ("lenet5_1998,connections,340908,1", "right", 340_908),
        (",same_padding_3,1,1", "right", 1),
        (",same_padding_5,1,1", "wrong", 2),
        ("lenet5,beauty,10,1", "cannot be checked here", None),
    ],
)
def test_verdicts(row, verdict, found):
    result = finding(row)
    assert result.verdict == verdict
    assert result.found == (None if found is None else pytest.approx(found))


def test_a_fact_is_checked_against_its_source():
    head = f"{HEAD},fact,fact_source,note"
    result = finding(",deep belief nets,1996,year,2006,Hinton et al. 2006,a slip", head)
    assert (result.verdict, result.found, result.origin, result.slip) == ("wrong", 2006, "Hinton et al. 2006", "a slip")
    assert finding(",deep belief nets,2006,year,2006,Hinton et al. 2006,", head).verdict == "right"


def test_arguments_of_the_network():
    assert finding("mobilenet_v1_025,params,467,K,width=0.4", f"{HEAD},arguments").found > 400


def test_a_wrong_size_without_a_likely_slip():
    result = finding("lenet5,size,3000,MB")
    assert (result.verdict, result.slip) == ("wrong", "")


# The verdicts of an independent count of the original definitions (Caffe prototxt, torchvision, Keras).
LECTURE = {
    "alexnet size": "right in MiB",
    "nin size": "right in MiB",
    "vgg19 size": "right in MiB",
    "googlenet size": "wrong",
    "resnet152 size": "wrong",
    "inception_resnet_v2 size": "wrong",
    "densenet201 size": "right",
    "xception size": "wrong",
    "mobilenet_v2 size": "right",
    "shufflenet_v1 size": "wrong",
    "alexnet params": "right",
    "alexnet neurons": "right",
    "alexnet hidden_layers": "right",
    " same_padding_3": "right",
    " infimum of the sigmoid": "right",
    " supremum of the sigmoid": "right",
    " ILSVRC-2012 top-5 error of the second best": "right",
    " ILSVRC-2012 top-5 error of AlexNet": "right",
    " deep belief nets": "wrong",
}


@pytest.fixture(scope="module")
def lecture():
    return {f"{found.network} {found.quantity}": found for found in audit("lecture")}


def test_the_lecture(lecture):
    assert {claim: found.verdict for claim, found in lecture.items()} == LECTURE
    assert sum(tally(tuple(lecture.values())).values()) == len(LECTURE)


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("alexnet size", 243.861),
        ("nin size", 30.381),
        ("vgg19 size", 574.669),
        ("googlenet size", 27.994),
        ("resnet152 size", 240.771),
        ("inception_resnet_v2 size", 223.374),
        ("densenet201 size", 80.056),
        ("xception size", 91.424),
        ("mobilenet_v2 size", 14.019),
        ("shufflenet_v1 size", 7.463),
    ],
)
def test_the_lectures_sizes_are_those_of_trained_numbers(lecture, claim, found):
    """Megabytes of learned parameters, counted from the original files; statistics are not among them."""
    assert lecture[claim].found == pytest.approx(found, abs=0.001)


def test_xception_was_given_its_parameters_as_megabytes(lecture):
    assert "22 is its parameters in millions (22,855,952)" in lecture["xception size"].slip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["claims: empty", "network, quantity, claimed, unit"]),
        (HEAD, ["a header and no rows"]),
        ("network,quantity,claimed\nlenet5,params,3", ["no column 'unit'"]),
        (f"{HEAD},colour\nlenet5,params,3,M,red", ["column 'colour'"]),
        (f"{HEAD}\nlenet5,params,61706,", ["line 2", "'params 61706' has no unit", "MiB"]),
        (f"{HEAD}\n\n# comment\nlenet5,size,3,Mb", ["line 4", "'Mb' is not known", "did you mean MB"]),
        (f"{HEAD}\nlenet5,params,60 million,1", ["line 2", "'60 million'", "plain number"]),
        (f"{HEAD}\nlenet5,size,nan,MB", ["line 2", "'nan'", "plain number"]),
        (f"{HEAD}\nlenet6,params,60,K", ["line 2", "lenet6", "did you mean lenet5"]),
        (f"{HEAD}\nlenet5,params,60,MB", ["line 2", "params is in MB", "1, K, M, G"]),
        (f"{HEAD}\nlenet5,params,60", ["line 2", "3 cells; the header has 4"]),
        (f'{HEAD}\nlenet5,"params,60,K', ["line 2"]),
        (f"{HEAD}\n,same_padding_4,1,1", ["odd kernel"]),
        (f"{HEAD},arguments\nlenet5,params,60,K,width", ["argument 'width'", "name=value"]),
        (f"{HEAD},arguments\nlenet5,params,60,K,width=2", ["no argument 'width'"]),
        (f"{HEAD},fact\n,x,60,1,many", ["fact is 'many'"]),
    ],
)
def test_bad_claims_are_one_line(text, words):
    with pytest.raises(DataError) as error:
        audit_text(text)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_the_command(capsys, tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text(f"{HEAD}\nlenet5,params,60,K\nlenet5,size,0.235,MB\n")
    assert main(["audit", str(path)]) == 0
    out = capsys.readouterr().out
    assert "2 claims: 1 wrong, 1 right in MiB." in " ".join(out.split())
    assert main(["audit", str(path), "--json"]) == 0
    assert [row["verdict"] for row in json.loads(capsys.readouterr().out)] == ["wrong", "right in MiB"]
    for bad, word in ((tmp_path / "none.csv", "cannot be read"), (tmp_path, "cannot be read")):
        assert main(["audit", str(bad)]) == 2
        error = capsys.readouterr().err
        assert word in error
        assert len(error.splitlines()) == 1
    path.write_bytes(b"\xff\xfe\x00")
    assert main(["audit", str(path)]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_the_format_is_documented():
    text = sys.modules[audit.__module__].__doc__
    for column in (*REQUIRED, *OPTIONAL):
        assert f"\n    {column} " in text
