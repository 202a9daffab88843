"""What the dashboard's scripts work out without a page: numbers as they are written, scales that keep still."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "proxyd/admin/dashboard/static"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node (Node.js) is not installed")


def run(imports, module, expression):
    """Return what an expression gives, with names of a module."""
    script = (
        f"import {{{imports}}} from {json.dumps((STATIC / module).as_uri())};"
        f"console.log(JSON.stringify({expression}))"
    )
    command = [NODE, "--input-type=module", "--no-warnings", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env={"TZ": "UTC"})
    return json.loads(done.stdout)


def test_numbers_are_written_with_their_units():
    """Three digits that count, and a dash for what is not known."""
    written = run(
        "rate, seconds, percent, bytes, duration, ago, compact, integer",
        "format.js",
        """[
          rate(0), rate(1234), rate(0.04), rate(null), seconds(0.00042), seconds(0.25), seconds(3.21), seconds(120),
          percent(0.0123), percent(1), bytes(1536), bytes(3 * 2 ** 30), duration(59), duration(3661), duration(200000),
          ago(100, 112), ago(200, 100), ago(0, 5), compact(1.5e6), integer(1234567), integer(undefined),
        ]""",
    )
    none = "\N{EN DASH}"
    assert written == [
        *("0/s", "1.23k/s", "0.04/s", none, "0.42 ms", "250 ms", "3.21 s", "2 min"),
        *("1.23 %", "100 %", "1.5 KiB", "3 GiB", "59 s", "1 h 1 min", "2 d 7 h"),
        *("12 s ago", "in 1 min 40 s", none, "1.5M", "1,234,567", none),
    ]


def test_units_fit_what_is_very_small_very_large_or_nearly_one_more():
    """Nothing that is there is written as 0, and no unit holds a thousand of the one below."""
    written = run(
        "rate, seconds, bytes, compact, percent",
        "format.js",
        """[
          rate(1 / 86400), seconds(1e-8), percent(1e-9), seconds(0.99996), compact(999.9), compact(999999), bytes(1048575),
          compact(2.5e12), bytes(5 * 2 ** 40),
        ]""",
    )
    assert written == [
        *("< 0.001/s", "< 0.001 ms", "< 0.001 %", "1 s", "1k", "1M", "1 MiB"),
        *("2.5T", "5 TiB"),
    ]


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (0, [0, 0.25, 0.5, 0.75, 1]),
        (53, [0, 20, 40, 60]),
        (95, [0, 25, 50, 75, 100]),
        (1800, [0, 500, 1000, 1500, 2000]),
    ],
)
def test_ticks_are_round_numbers(highest, ticks):
    """And the highest value has room under the last one."""
    made = f"(() => {{ const one = new Linear({{least: 1}}); one.fit({highest}); return one.ticks() }})()"
    assert run("Linear", "charts/scale.js", made) == ticks


def test_a_scale_grows_at_once_and_shrinks_late():
    """A peak that leaves the chart does not make it jump."""
    told = run(
        "Linear",
        "charts/scale.js",
        """(() => {
          const one = new Linear({least: 1}), seen = []
          one.fit(90)
          for (let at = 0; at < 30; at += 1) { one.fit(10); seen.push(one.max) }
          one.fit(900)
          return [seen[0], seen[19], seen[29], one.max]
        })()""",
    )
    assert told[:2] == [100, 100]
    assert told[2] < 20
    assert told[3] == 1000


def test_a_logarithmic_scale_has_powers_of_ten():
    """It is as it was made, until something is higher; what is lower stands on the axis."""
    told = run(
        "Logarithmic",
        "charts/scale.js",
        """(() => {
          const one = new Logarithmic({from: 0.0001, to: 0.1})
          const before = [one.at(0), one.at(0.00001), one.at(0.1), one.at(0.01)]
          one.fit(0.5)
          return [...before, one.to, one.ticks().length]
        })()""",
    )
    assert told == pytest.approx([0, 0, 1, 2 / 3, 1, 5])


def test_times_are_whole_minutes():
    """Of the clock, wherever the chart begins."""
    end = 1_800_000_017
    ticks = run("timeTicks", "charts/scale.js", f"timeTicks({end - 300}, {end}, 6)")
    assert [tick % 60 for tick in ticks] == [0] * 5
    assert run("timeTicks", "charts/scale.js", f"timeTicks({end - 86400}, {end}, 6).length") in {6, 5}


def test_addresses_of_pages_are_read_and_written():
    """Names may hold anything; what is not there is no page."""
    told = run(
        "page, resolve, link",
        "router.js",
        """(() => {
          page({path: "/services/:id", title: "s", module: "x"})
          const address = link("/services/:id", {id: "a/b ?#ü"}, {tab: "routes", none: ""})
          const {route, params, query} = resolve(address)
          return [address, route.path, params.id, query.get("tab"), resolve("#/services/a/b").route, resolve("#/services/%").params.id]
        })()""",
    )
    assert told == [
        "#/services/a%2Fb%20%3F%23%C3%BC?tab=routes",
        "/services/:id",
        "a/b ?#ü",
        "routes",
        None,
        "%",
    ]
