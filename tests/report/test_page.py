"""The page: well-formed, complete, safe against hostile names, and in need of nothing from outside."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from millijoule.graph import Builder
from millijoule.ops import Conv2d, Dense, Flatten
from millijoule.plan import Buffer, Plan, plan
from millijoule.report.deployment.page import page, write_page
from millijoule.report.page.svg import HEAD, ROW, Panel, cut, kind_of, layer_bars, memory_map
from tests.networks import small_graph
from tests.report.browser import measured, needs_chromium
from tests.report.deployments import chain, deployment

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = "</script><script>alert('1')</script>&\"<!--"
SVG = "{http://www.w3.org/2000/svg}"


class Reader(HTMLParser):
    """Checks that every element is closed; collects text, elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def text_of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


def drawings(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def hostile() -> object:
    build = Builder(HOSTILE, (8, 8, 1))
    build(f"first {HOSTILE}", Conv2d(channels=2, kernel=3))
    build("a_name_that_is_far_too_long_" * 4, Flatten())
    build("$title ${title}", Dense(features=2))
    return deployment(build.graph(), notes=(f"note {HOSTILE}",), folder=HOSTILE)


VARIANTS = {
    "board": deployment,
    "host": lambda: deployment(device="host"),
    "not run": lambda: deployment(measurement=None, outputs_compared=0, outputs_equal=0),
    "wrong": lambda: deployment(outputs_equal=1),
    "no accuracy": lambda: deployment(accuracy={"float": None, "int8_host": None, "int8_device": None}),
    "3 layers": lambda: deployment(chain(3)),
    "70 layers": lambda: deployment(chain(70)),
    "150 layers": lambda: deployment(chain(150)),
    "notes of the device": lambda: deployment(device="raspberry-pi-pico"),
    "hostile names": hostile,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_well_formed_and_complete(variant):
    made = VARIANTS[variant]()
    text = page(made)
    reader = Reader(text)
    assert "$" not in re.sub(r"\$title|\$\{title\}", "", text)
    shown = " ".join(text for _, text in reader.texts)
    for node in made.model.graph.nodes:
        assert node.name in shown
    for value in (made.cost.macs, made.cost.params, made.plan.arena_bytes, made.cost.size_bytes):
        assert f"{value:,}" in shown
    for drawing in drawings(text):
        assert drawing.tag == f"{SVG}svg"
        assert drawing.get("aria-label")


@pytest.mark.parametrize("variant", VARIANTS)
def test_loads_nothing_and_runs_nothing(variant):
    text = page(VARIANTS[variant]())
    for tag, attributes in Reader(text).elements:
        assert tag not in {
            "img",
            "iframe",
            "object",
            "embed",
            "audio",
            "video",
            "source",
            "base",
            "form",
            "use",
            "image",
        }
        assert not {"src", "srcset", "xlink:href", "action", "background", "poster"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert (tag, attributes["href"]) == ("link", "data:,")
        if tag == "script":
            assert attributes["type"] == "application/json"
        assert "url(" not in (attributes.get("style") or "")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in text


def test_names_are_escaped():
    text = page(hostile())
    assert "<script>alert" not in text
    reader = Reader(text)
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert any(f"first {HOSTILE}" in found for found in reader.text_of("th"))
    assert any(f"note {HOSTILE}" in found for found in reader.text_of("p"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_numbers_are_in_the_page_as_json(variant):
    made = VARIANTS[variant]()
    text = page(made)
    found = re.search(r'<script type="application/json" id="deployment">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1]) == json.loads(json.dumps(made.to_json()))


def test_every_layer_has_a_row_with_its_numbers():
    made = deployment()
    text = page(made)
    rows = dict(re.findall(r'<tr><th scope="row" title="(.*?)">.*?</th>(.*?)</tr>', text))
    cells = re.findall(r"<td.*?>(.*?)</td>", rows["c1"])
    assert cells == ["Conv2d", "12x12x4", "40", "5,184", "72.4 %", "52", "720", "18,432", "64.3 %", "3.56"]
    cells = re.findall(r"<td.*?>(.*?)</td>", rows["flat"])
    assert cells == ["Flatten", "36", "0", "0", "", "0", "36", "0", "", ""]


def test_measured_and_computed_never_share_a_column():
    text = page(deployment())
    table = text[text.index("Every layer in numbers") :]
    head = table[table.index("<thead>") : table.index("</thead>")]
    spans = re.findall(r'<th(?: colspan="(\d+)")?(?: class="group (\w+)")?>', head.split("</tr>")[0])
    origins = [origin for span, origin in spans for _ in range(int(span or 1))]
    names = re.findall(r"<th.*?>(.*?)</th>", head.split("</tr>")[1])
    assert list(zip(names, origins, strict=True))[3:] == [
        ("parameters", "computed"),
        ("MACs", "computed"),
        ("share", "computed"),
        ("weights,<br>bytes", "computed"),
        ("live RAM,<br>bytes", "computed"),
        ("instructions", "measured"),
        ("share", "measured"),
        ("per MAC", "measured"),
    ]


@pytest.mark.parametrize(
    ("variant", "present", "absent"),
    [
        (
            "board",
            ["Bit for bit: all 60 output bytes", "Memory accesses", "98.33 %"],
            ["Wrong"],
        ),
        ("host", ["Bit for bit", "C on this computer"], ["Memory accesses", "Instructions</h3>", "Compiler"]),
        ("not run", ["Built, not run", "Compiler"], ["Bit for bit:", "Memory accesses"]),
        ("wrong", ["Wrong: 59 of 60 output bytes"], ["Bit for bit:"]),
        ("no accuracy", ["accuracy is not known"], ["98.33 %"]),
        ("notes of the device", ["second-stage bootloader"], []),
    ],
)
def test_says_what_happened(variant, present, absent):
    text = page(VARIANTS[variant]())
    body = text[text.index("<body>") : text.index("<script")]
    for words in present:
        assert words in body
    for words in absent:
        assert words not in body


def test_sources_of_the_device_are_named():
    text = page(deployment())
    for key in ("clock_hz", "flash", "ram"):
        assert deployment().device.sources[key] in text


def test_is_written_whole(tmp_path):
    write_page(deployment(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(deployment())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def rectangles(drawing: ElementTree.Element, css_class: str) -> list[ElementTree.Element]:
    return [rect for rect in drawing.iter(f"{SVG}rect") if css_class in rect.get("class").split()]


def box(rect: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_the_memory_map_shows_each_buffer_where_it_lies():
    graph = small_graph()
    planned = plan(graph)
    drawing = ElementTree.fromstring(memory_map(planned, graph))
    (free,) = rectangles(drawing, "free")
    left, top, right, bottom = box(free)
    step, byte = (right - left) / len(planned.steps), (bottom - top) / planned.arena_bytes
    shown = rectangles(drawing, "buffer")
    assert len(shown) == len(planned.buffers)
    for rect, buffer in zip(shown, planned.buffers, strict=True):
        x0, y0, x1, y1 = box(rect)
        assert x0 == pytest.approx(left + step * buffer.first, abs=0.2)
        assert x1 == pytest.approx(left + step * (buffer.last + 1), abs=0.2)
        assert y1 == pytest.approx(bottom - byte * buffer.offset, abs=0.2)
        assert y0 == pytest.approx(bottom - byte * buffer.end, abs=0.2)
        title = rect.find(f"{SVG}title").text
        assert title.startswith(f"{', then '.join(buffer.values)}: {buffer.bytes:,} bytes")
    peaks = [box(rect)[0] for rect in rectangles(drawing, "peak")]
    fullest = [index for index, live in enumerate(planned.live_bytes) if live == max(planned.live_bytes)]
    assert peaks == pytest.approx([left + step * index for index in fullest], abs=0.2)


def test_kinds_of_buffers():
    graph = small_graph()
    kinds = {buffer.name: kind_of(buffer, graph) for buffer in plan(graph).buffers}
    assert kinds == dict.fromkeys(kinds, "value") | {"input": "input", "fc": "output"}
    assert kind_of(Buffer(("c1.scratch",), 4, 1, 1, 0), graph) == "scratch"


def test_a_buffer_too_small_to_see_is_a_line_inside_the_arena():
    graph = small_graph()
    buffers = (Buffer(("input",), 1, 0, 1, 0), Buffer(("c1",), 1, 1, 2, 99_999))
    drawing = ElementTree.fromstring(memory_map(Plan("x", ("input", "c1", "p1"), buffers, 100_000, 2), graph))
    _, top, _, bottom = box(rectangles(drawing, "free")[0])
    for rect in rectangles(drawing, "buffer"):
        _, y0, _, y1 = box(rect)
        assert top - 0.1 <= y0 < y1 <= bottom + 0.1
        assert y1 - y0 == pytest.approx(1.5)


@pytest.mark.parametrize("layers", [3, 8, 70])
def test_bars_are_aligned_and_as_long_as_their_values(layers):
    names = [f"layer_{index}" for index in range(layers)]
    values = [0, *range(1, layers - 1), None]
    text = layer_bars(names, [Panel("MACs", "counted", "computed", values, sum(range(layers - 1)))])
    front, panel = (ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert front.get("height") == panel.get("height") == str(HEAD + ROW * layers)
    bars = rectangles(panel, "computed")
    assert len(bars) == layers - 2
    lengths = [box(bar)[2] - box(bar)[0] for bar in bars]
    assert lengths == pytest.approx([max(lengths) * value / (layers - 2) for value in range(1, layers - 1)], abs=1.1)
    for row, bar in enumerate(bars, start=1):
        assert HEAD + row * ROW < box(bar)[1] < box(bar)[3] < HEAD + (row + 1) * ROW
    assert [element.text for element in front.iter(f"{SVG}text")][1:] == [
        f"{number} {name}" for number, name in enumerate(names, start=1)
    ]


@pytest.mark.parametrize(("text", "made"), [("short", "short"), ("exactly_ten", "exactly_t…"), ("", "")])
def test_cut(text, made):
    assert cut(text, 10) == made


MEASURE = """
<script>
const found = [];
if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the screen");
for (const svg of document.querySelectorAll("svg")) {
  const area = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  boxes.forEach(([name, a], i) => {
    if (a.left < area.left - 1 || a.right > area.right + 1 || a.top < area.top - 1 || a.bottom > area.bottom + 1)
      found.push(`'${name}' leaves its drawing`);
    for (const [other, b] of boxes.slice(i + 1))
      if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
        found.push(`'${name}' lies over '${other}'`);
  });
}
document.title = "measured " + JSON.stringify(found);
</script>
"""


@needs_chromium
@pytest.mark.parametrize(
    ("variant", "width"),
    [("3 layers", 390), ("board", 1200), ("70 layers", 390), ("70 layers", 1200), ("150 layers", 1200)],
)
def test_nothing_overlaps_in_a_browser(tmp_path, variant, width):
    text = page(VARIANTS[variant]())
    # The page itself allows no script; this copy does, to be measured.
    text = re.sub(r"<meta http-equiv.*?>", "", text).replace("</body>", MEASURE + "</body>")
    assert measured(text, tmp_path, width) == "[]"


def test_the_deepest_layers_are_all_in_the_bars():
    made = deployment(chain(70))
    text = page(made)
    front = next(drawing for drawing in drawings(text) if drawing.get("class") == "names")
    assert len(list(front.iter(f"{SVG}title"))) == 70
    shorter = page(replace(made, measurement=None, outputs_compared=0))
    assert len(drawings(shorter)) == len(drawings(text)) - 1
