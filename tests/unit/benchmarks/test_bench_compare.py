"""The comparison's rows, and what is said beside them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Sample
from benchmarks.scenarios.compare import COLUMNS, notes, rows
from benchmarks.scenarios.policies import ratios
from benchmarks.scenarios.routes import FILES, document


def sample(peer, rate, cpu_us, **more):
    values = {
        "p50_us": 1000,
        "p99_us": 2000,
        "proxy_share": 1.0,
        "others_share": 0.0,
        "load_share": 0.5,
        "stolen": 0.0,
        "requests": 1000,
        "errors": {},
    }
    return Sample(peer=peer, rate=rate, cpu_us=cpu_us, **(values | more))


def test_ratios_are_those_of_the_medians_to_nginx():
    """One odd round does not move a ratio."""
    taken = {
        "nginx": [sample("nginx", 40_000, 25), sample("nginx", 40_000, 25), sample("nginx", 10_000, 90)],
        "proxyd": [sample("proxyd", 20_000, 50)],
    }
    shown = [dict(zip(COLUMNS, row, strict=True)) for row in rows(taken, {})]
    assert shown[0]["CPU µs/request"] == "25.0 (25.0-90.0)"
    assert shown[1]["requests/s ÷ nginx"] == "0.50"
    assert shown[1]["CPU ÷ nginx"] == "2.00"


def test_without_nginx_there_are_no_ratios():
    """The other columns stand."""
    row = dict(zip(COLUMNS, rows({"proxyd": [sample("proxyd", 20_000, 50)]}, {})[0], strict=True))
    assert row["CPU ÷ nginx"] == "-"
    assert row["requests/s"] == "20,000"


def test_a_run_with_errors_is_invalid_and_says_which():
    """Refused requests are cheap; they must not count as speed."""
    taken = {"proxyd": [sample("proxyd", 90_000, 5, errors={"status": 7})]}
    assert rows(taken, {})[0][:3] == ["proxyd", "invalid", "-"]
    assert notes(taken, {}) == ["proxyd: invalid: errors [{'status': 7}]"]


def test_a_proxy_that_failed_is_shown_with_the_reason():
    """It is not silently left out."""
    assert rows({"envoy": []}, {"envoy": "exited with 1:\n bad flag"})[0][:2] == ["envoy", "invalid"]
    assert notes({"envoy": []}, {"envoy": "exited with 1:\n bad flag"}) == [
        "envoy: invalid: exited with 1: bad flag"
    ]


def test_a_core_that_was_not_full_or_not_alone_is_mentioned():
    """A reader learns what limited the figure."""
    text = notes({"nginx": [sample("nginx", 1, 1, proxy_share=0.7, others_share=0.1, stolen=0.05)]}, {})
    assert [line.split(" took ")[0] for line in text[1:]] == ["other processes", "the hypervisor"]
    assert text[0].startswith("nginx: the core had time left")


def test_a_core_that_others_filled_is_not_blamed_on_the_load_side():
    """What a neighbour took is said once, as what it is."""
    text = notes({"nginx": [sample("nginx", 1, 1, proxy_share=0.5, others_share=0.49)]}, {})
    assert text == ["other processes took up to 49% of the proxy's core in a round"]


def test_the_policies_are_held_to_each_of_the_others():
    """The sentence under the table has the ratios of the medians; rows of proxyd itself are not in it."""
    taken = {"nginx": [20.0], "proxyd": [30.0, 10.0, 31.0], "proxyd-file-log": [50.0], "envoy-plain": [60.0]}
    raw = {peer: [{"cpu_us": cpu} for cpu in values] for peer, values in taken.items()}
    assert ratios(raw) == ["proxyd's CPU per request is 1.50 times nginx's, 0.50 times envoy-plain's"]
    assert ratios({"nginx": [{"cpu_us": 1.0}], "proxyd": []}) == []


def test_the_large_file_has_as_many_entities_as_its_title_says():
    """10,000 routes, 10,000 consumers, all names unique."""
    made = document(FILES[1], 80)
    names = [route["name"] for service in made["services"] for route in service["routes"]]
    assert (len(names), len(set(names)), len(made["consumers"])) == (10_000, 10_000, 10_000)


def test_every_scenario_is_in_the_page_s_table():
    """What the command line offers is explained, in the same order."""
    page = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text()
    table = page.partition("## Scenarios")[2].partition("## What the columns mean")[0]
    rows = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [name for name in rows if name in SCENARIOS] == list(SCENARIOS)
