"""A figure can be read on light and on dark pages, and where nobody draws plotly a still shows the same marks."""

import re
import xml.etree.ElementTree as ET

import plotly.graph_objects as go
import plotly.io as pio
import pytest
from IPython.core.formatters import DisplayFormatter

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.figures import COLOURS
from vlmfreeze_widgets.figures.palette import COLOURWAY, INK
from vlmfreeze_widgets.figures.scales import scale_of
from vlmfreeze_widgets.figures.static_svg import still
from vlmfreeze_widgets.figures.themed import LIVE

WHITE, DARK = "#ffffff", "#111111"  # JupyterLab's pages
SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour):
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lines(drawn):
    return [p.get("d") for p in ET.fromstring(drawn).iter(f"{SVG}path")]


def bars(drawn):
    return [
        (float(r.get("x")), float(r.get("width")), float(r.get("height")))
        for r in ET.fromstring(drawn).iter(f"{SVG}rect")
    ]


@pytest.mark.parametrize("page", [WHITE, DARK])
def test_every_colour_can_be_told_from_the_page(page):
    assert all(contrast(colour, page) >= 3 for colour in (*COLOURWAY, *COLOURS.values()))  # WCAG 2.2, 1.4.11: graphics
    assert contrast(INK, page) >= 4


def test_a_colour_made_for_light_pages_alone_would_be_found():
    assert contrast("#2a3f5f", DARK) < 3  # plotly's own ink


def test_the_figure_has_no_page_of_its_own_and_plotlys_ink_is_gone():
    layout = vf.Figure().layout.template.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.color == INK


def test_a_template_that_somebody_chose_stays():
    figure = vf.Figure(layout={"template": "plotly_dark"})
    assert figure.layout.template.layout.font.color == "#f2f5fa"


def shown(figure):
    """What a notebook gets."""
    return DisplayFormatter().format(figure)[0]


def test_a_notebook_gets_the_live_figure_and_beside_it_the_still():
    figure = vf.Figure()
    figure.add_bar(x=["a"], y=[1])
    assert set(shown(figure)) - {"text/plain"} == {LIVE, "image/svg+xml"}
    assert shown(figure)[LIVE]["data"][0]["y"] == [1]
    figure.add_pie(values=[1, 2])
    assert set(shown(figure)) - {"text/plain"} == {LIVE}


@pytest.mark.parametrize("renderer", ["notebook", "notebook_connected", "plotly_mimetype+notebook_connected"])
def test_no_notebook_gets_a_script_whatever_plotlys_renderer_is(renderer, monkeypatch):
    monkeypatch.setattr(pio.renderers, "default", renderer)
    figure = vf.Figure()
    figure.add_scatter(x=[1, 2], y=[1, 2])
    assert "<script" not in str(shown(figure))
    assert "<script" in str(go.Figure(figure)._repr_mimebundle_())  # plotly's own figure brings one


def test_a_line_falls_where_its_numbers_fall_and_breaks_where_there_are_none():
    figure = vf.Figure()
    figure.add_scatter(x=[1, 2, 3, 4, 5], y=[4, 3, None, 2, float("nan")], name="a")
    (path,) = lines(still(figure))
    heights = [float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    assert heights == sorted(heights)  # down the page
    assert len(heights) == 3
    assert path.count("M") == 2


def test_few_points_are_marked_as_plotly_marks_them_so_that_one_alone_is_seen():
    for count, marked in ((1, 1), (19, 19), (20, 0)):
        figure = vf.Figure()
        figure.add_scatter(x=list(range(count)), y=list(range(count)))
        assert still(figure).count("<circle") == marked


def test_a_log_axis_has_equal_steps_for_equal_ratios_and_no_place_for_zero():
    figure = vf.Figure()
    figure.add_scatter(x=[1, 2, 3, 4], y=[100, 10, 1, 0], name="a")
    figure.update_layout(yaxis_type="log")
    first, second, third = (float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", lines(still(figure))[0]))
    assert second - first == pytest.approx(third - second, abs=0.2)


@pytest.mark.parametrize("orientation", ["v", "h"])
def test_bars_on_each_other_are_as_long_as_their_numbers(orientation):
    figure = vf.Figure(layout={"barmode": "stack"})
    names, given = ["one", "two"], {"low": [1, 2], "high": [3, 2]}
    for kind, sizes in given.items():
        both = {"x": names, "y": sizes} if orientation == "v" else {"y": names, "x": sizes}
        figure.add_bar(name=kind, orientation=orientation, **both)
    drawn = [box[2 if orientation == "v" else 1] for box in bars(still(figure))[:4]]
    assert [size / drawn[0] for size in drawn] == pytest.approx([1, 2, 3, 2], rel=0.01)


def test_names_and_titles_are_escaped_and_shown():
    figure = vf.Figure()
    for name in ("<script>alert(1)</script>", "a & b"):
        figure.add_scatter(x=[1, 2], y=[1, 2], name=name)
    figure.update_layout(xaxis_title="<img src=x onerror=alert(1)>")
    drawn = still(figure)
    texts = [t.text for t in ET.fromstring(drawn).iter(f"{SVG}text")]
    assert {"<script>alert(1)</script>", "a & b", "<img src=x onerror=alert(1)>"} <= set(texts)
    assert "<script" not in drawn
    assert "<img" not in drawn


def test_a_colour_cannot_leave_its_attribute():
    figure = vf.Figure()
    figure.add_scatter(x=[1, 2], y=[1, 2], line={"color": "red"})
    figure._data[0]["line"]["color"] = '"><script>'
    assert "<script" not in still(figure)


def test_a_still_is_told_to_those_who_do_not_see_it():
    figure = vf.Figure()
    figure.add_scatter(x=[1, 2], y=[1, 2], name='"mine" & yours')
    figure.update_layout(xaxis_title="step", yaxis_title="loss")
    assert ET.fromstring(still(figure)).get("aria-label") == 'loss over step: "mine" & yours'
    assert DisplayFormatter().format(figure)[1]["image/svg+xml"]["alt"] == 'loss over step: "mine" & yours'


def test_two_panels_stand_beside_each_other():
    figure = _two_panels()
    first, second = (float(re.match(r"M([\d.]+)", p)[1]) for p in lines(still(figure)))
    assert second - first > 300


def _two_panels():
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=2, figure=vf.Figure(), subplot_titles=("left", "right"))
    for column in (1, 2):
        figure.add_scatter(x=[1, 2], y=[1, 2], row=1, col=column)
    return figure


def test_a_figure_without_a_number_has_no_still():
    assert still(vf.Figure()) is None
    figure = vf.Figure()
    figure.add_scatter(x=[1], y=[None])
    assert still(figure) is None


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([0, 10], False, ["0", "2", "4", "6", "8", "10"]),
        ([0.001, 10], True, ["0.001", "0.01", "0.1", "1", "10"]),
        ([7, 7], False, None),
    ],
)
def test_an_axis_has_round_ticks(values, log, ticks):
    found = [text for _, text in scale_of(values, log=log).ticks()]
    assert found == ticks if ticks else len(found) >= 2
