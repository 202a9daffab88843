"""The command line of the bench."""

from __future__ import annotations

import pytest

from benchmarks import cli
from benchmarks.process import ROOT
from benchmarks.scenarios import SCENARIOS


def test_without_wrk_it_says_how_to_install_it(monkeypatch, capsys):
    """Nothing is started, and the exit code tells."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert cli.main([]) == 2
    assert capsys.readouterr().err == "wrk is not installed: apt-get install wrk\n"


def test_a_quick_run_is_one_short_round_of_what_matters_most():
    """What is asked for beside it wins."""
    options = cli._options(["--quick"])
    assert set(options.scenario) < set(SCENARIOS)
    assert (options.rounds, options.seconds, options.docs) == (1, 1.0, None)
    options = cli._options(["--quick", "--scenario", "tls", "--rounds", "2", "--docs"])
    assert (options.scenario, options.rounds, options.docs) == (["tls"], 2, ROOT)


@pytest.mark.parametrize(("option", "unknown"), [("--scenario", "plan"), ("--peers", "ngnix")])
def test_an_unknown_name_is_told_with_those_that_are_known(option, unknown, capsys):
    """It is not left out in silence."""
    with pytest.raises(SystemExit) as ended:
        cli._options([option, f"{unknown},"])
    assert ended.value.code == 2
    assert f"{unknown}: not one of " in capsys.readouterr().err
