"""The event log."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty

import pytest

from proxyd.errors import ConfigError
from proxyd.telemetry import events
from proxyd.telemetry.events import LEVELS, configure, get_logger, set_level


@pytest.fixture(autouse=True)
def state():
    """Puts back what ``configure`` sets for the whole process."""
    output, root = vars(events._output).copy(), logging.root
    handlers, level = root.handlers[:], root.level
    yield
    vars(events._output).update(output)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def logged(tmp_path):
    """Configures a file, and returns a function that closes it and gives its lines."""
    path = tmp_path / "events.log"
    writer = configure("debug", str(path))

    def read():
        assert writer.close()
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    yield read
    writer.close()


def test_an_event_is_one_json_line(logged):
    """Time, level, component and event come first, then the values."""
    get_logger("config").notice("reloaded", generation=2, path=b"odd", when={1: object})
    (line,) = logged()
    assert list(line) == ["time", "level", "component", "event", "generation", "path", "when"]
    assert (line["level"], line["component"], line["event"]) == ("notice", "config", "reloaded")
    assert line["time"].endswith("Z")
    assert line["path"] == "b'odd'"


def test_every_level_of_kong_is_a_method(logged):
    """The eight names log under themselves."""
    log = get_logger("x")
    for level in LEVELS:
        getattr(log, "warning" if level == "warn" else level)("event")
    assert [line["level"] for line in logged()] == list(LEVELS)


def test_lesser_levels_are_left_out_and_the_level_can_change(logged):
    """A level lets itself and what is graver through."""
    log = get_logger("x")
    set_level("warn")
    log.notice("left out")
    log.warning("in")
    set_level("info")
    log.info("in too")
    assert [line["event"] for line in logged()] == ["in", "in too"]


def test_a_traceback_is_text_without_local_variables(logged):
    """An exception shows its lines and not the values that were at hand."""
    hush = "a-secret-value"
    try:
        int(hush[1:2])
    except ValueError:
        get_logger("x").error("failed", exc_info=True)
    (line,) = logged()
    assert "ValueError: invalid literal for int() with base 10: '-'" in line["exception"]
    assert hush not in line["exception"]


def test_pythons_own_logging_ends_up_in_the_same_place(logged):
    """A library's record becomes an event of the component that it names."""
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("aiohttp.server").critical("down")
    assert [(line["component"], line["level"], line["event"]) for line in logged()] == [
        ("asyncio", "warn", "slow callback"),
        ("aiohttp.server", "crit", "down"),
    ]


def test_text_that_no_utf8_stands_for_is_escaped(logged):
    """A lone surrogate costs neither the line nor the caller."""
    get_logger("x").warning("odd", value="\udcff")
    (line,) = logged()
    assert line["value"] == "'\\udcff'"


def test_off_logs_nothing(capfd):
    """``off`` opens nothing and writes nothing."""
    assert configure("debug", "off") is None
    get_logger("x").emerg("gone")
    assert capfd.readouterr() == ("", "")


def test_before_it_is_configured_json_goes_to_standard_error(capfdbinary):
    """Events of the first moments are not lost."""
    get_logger("x").warning("early")
    assert json.loads(capfdbinary.readouterr().err)["event"] == "early"


def test_a_path_that_cannot_be_opened_is_an_error_of_the_setting(tmp_path):
    """The message names ``proxy_error_log``."""
    with pytest.raises(ConfigError, match="proxy_error_log: cannot open"):
        configure("notice", str(tmp_path / "absent" / "events.log"))


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)]
)
def test_a_terminal_gets_text_in_colour(environ, coloured):
    """On a terminal events are for people; NO_COLOR takes the colour and leaves the text."""
    master, terminal = pty.openpty()
    saved = os.dup(2)
    try:
        os.dup2(terminal, 2)
        writer = configure("notice", "/dev/stderr", environ)
        get_logger("proxy").warning("reload refused", file="kong.yml")
        get_logger("proxy").error("failed", exc_info=ValueError("why"))
        assert writer.close()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(terminal)
    shown = ""
    with contextlib.suppress(OSError):  # EIO is the end: a terminal gives what there is in pieces
        while piece := os.read(master, 1 << 16):
            shown += piece.decode()
    os.close(master)
    assert "reload refused" in shown
    assert "kong.yml" in shown
    assert "ValueError: why" in shown
    assert ("\x1b[" in shown) is coloured
