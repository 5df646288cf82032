"""The page for a browser: what is in it, and, where Chromium is installed, what it shows."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from recorded_twins import Setup, run

from simckpt.compare.comparison import compare
from simckpt.compare.curves import curves
from simckpt.compare.texts import TextDifference
from simckpt.report.html import page as html_page
from simckpt.report.two_runs import comparison_report

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)
EVIL = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def page(a=None, texts=(), **changes):
    one, two = run(a or SMALL), run(SMALL, **changes)
    return html_page(comparison_report(compare(one, two)), curves(one, two), texts)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "input", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "changes", [{}, {"rate": 0.6}, {"fields": ()}, {"n": 32}, {"poison": 3}, {"steps": 16}]
)
def test_every_kind_of_result_is_a_well_formed_page_of_its_own(changes):
    text = page(**changes)
    found = Tags(text)
    assert found.open == []
    names = {name for name, _ in found.attributes}
    assert not names & {"src", "href", "onclick", "onload", "onerror"}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text


def test_it_holds_verdict_causes_differences_and_health():
    text = page(rate=0.6, packages={"numpy": "1.0"})
    for part in (
        '<span class="verdict different">DIFFERENT</span>',
        "<h2>Likely causes</h2>",
        '<span class="strong">numerics rate</span>',
        "<h2>Other recorded differences</h2>",
        "<h2>Health of each run</h2>",
    ):
        assert part in text
    assert re.search(r'<span class="share">\d\d %', text)
    assert "100 %" not in text


def test_what_a_bundle_says_is_text_and_never_markup():
    evil = {EVIL: EVIL}
    diff = TextDifference(what="configuration", name=EVIL, lines=(f"+{EVIL}",))
    text = page(texts=(diff,), rate=0.6, name=EVIL, parameters=evil, fields=("x", EVIL))
    found = Tags(text)
    assert "img" not in found.tags
    assert found.tags.count("script") == 2
    assert "onerror=alert(1)>" not in text


def test_the_data_is_what_the_figures_hold():
    text = page(rate=0.6)
    (data,) = re.findall(r'id="data">(.*?)</script>', text, flags=re.DOTALL)
    told = json.loads(data)
    assert told["step"] == 2
    assert told["maps"][0]["frames"][1]["differing"] == 64


def test_numbers_that_are_not_finite_are_gaps():
    text = page(poison=9)
    (data,) = re.findall(r'id="data">(.*?)</script>', text, flags=re.DOTALL)
    assert any(None in q["b"]["y"] for q in json.loads(data)["quantities"])


def shown(path, text, *options):
    """The page's markup after its script ran, and what the browser complained about."""
    file = path / "page.html"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            f"--user-data-dir={path / 'profile'}",
            *options,
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, told


@chromium
def test_a_browser_draws_series_difference_onset_and_tiles(tmp_path):
    markup, told = shown(tmp_path, page(bit=(14, 40)))
    assert told == []
    assert markup.count("first seen to differ, step 14") == 2
    assert re.search(r'<path d="M[^"]+" class="a"', markup)
    assert re.search(r'<path d="M[^"]+" class="b"', markup)
    assert re.search(r'<path d="M[^"]+" class="differs"', markup)
    assert "Step 14 (t = 0.7): 1 of 64 tiles differ." in markup


@chromium
def test_the_map_is_stepped_through_time_and_other_quantities_are_drawn(tmp_path):
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page(bit=(14, 40)))
    steps = """<script>
    document.getElementById('back').click(); document.getElementById('against').click();
    const select = document.getElementById('quantity'); select.value = select.options.length - 1;
    select.dispatchEvent(new Event('change'));
    </script></body>"""
    markup, told = shown(tmp_path, text.replace("</body>", steps))
    assert told == []
    assert "Step 12 (t = 0.6): 0 of 64 tiles differ." in markup
    assert "against step</button>" in markup
    assert "The same, bit for bit" in markup


@chromium
def test_a_browser_runs_nothing_that_a_bundle_says(tmp_path):
    text = page(rate=0.6, name=EVIL, parameters={EVIL: EVIL}, fields=("x", EVIL))
    markup, told = shown(tmp_path, text)
    assert told == []
    assert "<title>taken" not in markup
    assert "<img" not in markup


@chromium
def test_a_difference_that_is_not_a_number_is_never_called_the_same(tmp_path):
    lost = re.sub(
        r'("difference":\{[^{}]*?"y":\[)([^\]]*)\]',
        lambda m: m[1] + ",".join(["null"] * (m[2].count(",") + 1)) + "]",
        page(poison=9),
    )
    markup, told = shown(tmp_path, lost)
    assert told == []
    assert "Not a finite number in A or B at " in markup
    drawn = re.search(r'<svg id="difference".*?</svg>', markup, flags=re.DOTALL)
    assert "The same, bit for bit" not in drawn[0]
