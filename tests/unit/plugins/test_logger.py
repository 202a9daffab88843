"""What log plugins share: a note while a request ends, and a record of it whatever becomes of the generation."""

from __future__ import annotations

import json

from plugin_case import exchange, kit, make

from proxyd.plugins.file_log import FileLog
from proxyd.telemetry import noted


async def lines(plugin, path):
    """Close the output, and return the targets of the requests that were logged."""
    await plugin.kit.outputs.stop()
    return [json.loads(line)["request"]["uri"] for line in path.read_text().splitlines()]


async def test_a_stopping_generation_hands_over_what_it_has_noted(tmp_path):
    """Without waiting for the moment when it would have."""
    path = tmp_path / "log"
    plugin = make(FileLog, path=str(path))
    await plugin.start()
    plugin.log(exchange(target="/a"))
    plugin.log(exchange(target="/b"))
    assert not path.exists()
    await plugin.stop()
    assert await lines(plugin, path) == ["/a", "/b"]


async def test_an_exchange_that_outlives_its_generation_is_logged(tmp_path):
    """A WebSocket may end long after the reload that replaced its plugin."""
    path = tmp_path / "log"
    plugin = make(FileLog, path=str(path))
    await plugin.start()
    await plugin.stop()
    plugin.log(exchange(target="/late"))
    assert await lines(plugin, path) == ["/late"]


async def test_generations_share_a_file(tmp_path):
    """The new one starts before the old one stops, and the file stays open."""
    path = tmp_path / "log"
    lent = kit()
    old, new = (make(FileLog, lent, path=str(path)) for _ in range(2))
    await old.start()
    await new.start()
    assert old.output is new.output
    old.log(exchange(target="/old"))
    new.log(exchange(target="/new"))
    await old.stop()
    assert list(lent.outputs) == [new.output]
    await new.stop()
    assert sorted(await lines(new, path)) == ["/new", "/old"]


async def test_stopping_without_a_start():
    """As where another plugin of the generation could not start."""
    plugin = make(FileLog, path="/dev/null")
    plugin.log(exchange())
    await plugin.stop()
    assert list(plugin.kit.outputs) == []


async def test_what_is_noted_is_bounded(tmp_path, monkeypatch):
    """Beyond the limit, requests are not logged, and that is counted."""
    monkeypatch.setattr(noted, "LIMIT", 2)
    path = tmp_path / "log"
    plugin = make(FileLog, path=str(path))
    await plugin.start()
    for number in range(5):
        plugin.log(exchange(target=f"/{number}"))
    plugin._noted.flush()
    assert plugin.output.dropped == 3
    await plugin.stop()
    assert await lines(plugin, path) == ["/0", "/1"]
