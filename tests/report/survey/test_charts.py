"""The charts in a real browser: no errors, every trace drawn, hover works, no label over another; and as pictures."""

import json
import re
import struct
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from millijoule import zoo
from millijoule.cli import main
from millijoule.errors import ToolError
from millijoule.report.page.plotting import WIDTH
from millijoule.report.survey import tables
from millijoule.report.survey.labels import CHARACTER, LINE, Ball, place_labels
from millijoule.survey.audit import audit_text
from millijoule.survey.compare import compare, published
from millijoule.survey.explain import explain
from tests.report.browser import measured, needs_chromium
from tests.report.test_table import shown

CATCH = """<script>
window.found = [];
addEventListener("error", event => found.push("error: " + event.message));
addEventListener("securitypolicyviolation", event => found.push("forbidden: " + event.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => found.push(level + ": " + words.join(" "));
</script>"""
MEASURE = """<script>
addEventListener("load", async () => {
  const traces = [];
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const drawn = plot.querySelectorAll("g.trace.scatter, g.trace.bars").length;
    traces.push([plot._fullData.filter(trace => trace.visible === true).length, drawn]);
    for (let curve = 0; curve < plot._fullData.length; curve++) {
      const {xaxis, yaxis} = plot._fullData[curve];
      Plotly.Fx.hover(plot, [{curveNumber: curve, pointNumber: 0}], xaxis + yaxis);
      await new Promise(done => setTimeout(done, 120));
      if (!plot.querySelector(".hoverlayer .hovertext")) found.push(`${plot.id} trace ${curve}: no hover`);
      Plotly.Fx.unhover(plot);
    }
    const area = plot.getBoundingClientRect();
    const texts = [...plot.querySelectorAll(".annotation-text, .bartext, .textpoint text, .xtick text, .ytick text, " +
      ".y2tick text, .gtitle, .xtitle, .ytitle, .y2title, .legendtext")].filter(text => text.textContent.trim());
    const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([name, a], i) => {
      if (a.left < area.left - 1 || a.right > area.right + 1 || a.top < area.top - 1 || a.bottom > area.bottom + 1)
        found.push(`'${name}' leaves ${plot.id}`);
      for (const [other, b] of boxes.slice(i + 1))
        if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
          found.push(`'${name}' lies over '${other}' in ${plot.id}`);
    });
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the screen");
  document.title = "measured " + JSON.stringify({found, traces});
});
</script>"""


def everything():
    """All networks of the zoo that have a published accuracy: the fullest charts there are."""
    return compare([zoo.get(name) for name in published()])


@needs_chromium
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_works_in_a_browser(tmp_path, width):
    pytest.importorskip("plotly")
    from millijoule.report.survey.page import page

    text = page(everything()).replace("<head>", "<head>" + CATCH, 1).replace("</body>", MEASURE + "</body>")
    seen = json.loads(measured(text, tmp_path, width))
    assert seen["found"] == []
    assert [drawn for drawn, _ in seen["traces"]] == [6, 1, 1, 2, 2]
    assert all(wanted == drawn for wanted, drawn in seen["traces"])


def test_the_page_loads_nothing_and_escapes_names(tmp_path):
    pytest.importorskip("plotly")
    from millijoule.report.survey.page import page, write_page

    rows = compare([zoo.get("resnet152"), zoo.get("alexnet")])
    text = page([replace(rows[0], title="<b>bold</b>", weights="<script>alert(1)</script>"), rows[1]])
    assert "<script>alert" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=\"http", text)
    for source in ("Krizhevsky", "torchvision model metadata"):
        assert source in text
    write_page(rows, tmp_path / "charts.html")
    assert [path.name for path in tmp_path.iterdir()] == ["charts.html"]


def test_without_plotly_the_error_says_how_to_get_it(monkeypatch):
    import sys

    from millijoule.report.survey.page import page

    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ToolError, match=r"pip install 'millijoule\[charts\]'"):
        page(compare([zoo.get("resnet152")]))


@needs_chromium
def test_pictures_are_drawn(tmp_path, capsys):
    pytest.importorskip("kaleido")
    assert main(["compare", "resnet152", "alexnet", "--pictures", str(tmp_path / "new" / "folder")]) == 0
    assert "resnet152" in capsys.readouterr().out
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    names = ("accuracy", "density", "imagenet", "size", "voc")
    assert sorted(pictures) == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    for name in names:
        drawing, pixels = ElementTree.fromstring(pictures[f"{name}.svg"]), pictures[f"{name}.png"]
        assert pixels.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", pixels[16:24])
        assert (drawing.get("width"), drawing.get("height")) == (str(width), str(height))
        assert width == WIDTH
    for words in ("ResNet-152", "published top-1 accuracy, %", "2012"):
        assert any(words.encode() in pictures[f"{name}.svg"] for name in names)


def test_pictures_that_cannot_be_drawn_leave_nothing(tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    from plotly import io

    from millijoule.report.survey.page import write_pictures

    def fail(**arguments):
        raise RuntimeError("no browser\nand much more")

    monkeypatch.setattr(io, "write_images", fail)
    with pytest.raises(ToolError, match=r"kaleido .*millijoule\[charts\].* Chromium; .*\(no browser\)$"):
        write_pictures(compare([zoo.get("resnet152")]), tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_labels_lie_over_nothing():
    balls = [
        Ball(60 + 37 * (index * 7 % 20), 40 + 23 * (index * 11 % 17), 4 + index, f"network {index}")
        for index in range(25)
    ]
    labels = place_labels(balls, 900, 500)
    boxes = []
    for ball, label in zip(balls, labels, strict=True):
        assert not label.crossed
        half = CHARACTER * len(ball.text) / 2
        boxes.append((ball.x + label.dx - half, ball.y + label.dy, ball.x + label.dx + half))
    for index, (left, y, right) in enumerate(boxes):
        assert left >= 0
        assert right <= 900
        for other_left, other_y, other_right in boxes[index + 1 :]:
            assert abs(y - other_y) >= LINE or right <= other_left or other_right <= left


@pytest.mark.parametrize("width", [40, 80, 130])
def test_tables_are_whole_at_every_width(width):
    rows = compare([zoo.get(name) for name in ("resnet152", "inception_resnet_v2")])
    findings = audit_text(
        "network,quantity,claimed,unit,note\nlenet5,size,0.5,MB,twice as much\ninception_resnet_v2,hidden_layers,1,1,\n"
    )
    explained = tables.explain(explain(zoo.get("inception_resnet_v2")))
    for made in (tables.compare(rows), explained, tables.audit(findings)):
        text = shown(made, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert width == 40 or "inception_resnet_v2" in text
    assert "wrong by x2.03, too much" in " ".join(shown(tables.audit(findings), 130).split())
