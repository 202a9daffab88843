"""bot-detection: which programs are refused."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.plugins.bot_detection import BotDetection

CHROME = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


def status(*agents, **config):
    reply = make(BotDetection, **config).access(exchange(*((b"User-Agent", one) for one in agents)))
    return reply and reply.status


def test_defaults():
    """Kong's, under its older names too."""
    assert BotDetection.Config().model_dump() == {"allow": (), "deny": ()}
    assert BotDetection.Config(whitelist=["a"], blacklist=["b"]).model_dump() == {
        "allow": ("a",),
        "deny": ("b",),
    }


@pytest.mark.parametrize(
    "config", [{"allow": ["("]}, {"deny": ["(?!x)y"]}, {"deny": ["(a)\\1"]}, {"bots": []}]
)
def test_what_is_refused(config):
    """What is no expression, or none that runs in linear time."""
    with pytest.raises(ValidationError):
        BotDetection.Config(**config)


@pytest.mark.parametrize(
    "agent",
    [
        b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/116.0 Safari/537.36",
        b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        b"Mozilla/5.0 (compatible; ClaudeBot/1.0)",
        b"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        b"Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        b"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        b"somebodys-crawler/0.3",
        b"NewBot-Images/v2",
        b"GOOGLEBOT",
    ],
)
def test_bots_are_refused(agent):
    """By their names, or by what their kind calls itself; allow lets one in."""
    assert status(agent) == 403
    assert status(b"  " + agent) == 403
    assert status(agent, allow=["nothing", "(?i)bot|crawl|slurp|facebook"]) is None


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        b"Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus Build/PPR1) AppleWebKit/537.36 Chrome/120.0 Mobile",
        b"curl/8.5.0",
        b"python-requests/2.32",
        b"okhttp/4.12.0",
        b"",
        b"\xff\xfe",
        b"Robotics-Console/2 (built for robots; +https://robots.example)",
    ],
)
def test_others_pass(agent):
    """Browsers, telephones and whatever calls an API on purpose; deny keeps one out."""
    assert status(agent) is None
    assert status(agent, deny=["", "nothing"]) == 403


def test_how_many_user_agents_there_are():
    """None passes, two are no request to guess about."""
    assert status() is None
    assert status(CHROME, b"Googlebot/2.1") == 400


def test_deny_is_for_agents_as_they_are_written():
    """Expressions mind the case, as in Kong, and allow goes before deny."""
    assert (status(b"Foo/1", deny=["foo"]), status(b"Foo/1", deny=["Foo"])) == (None, 403)
    assert status(b"Foo/1", deny=["Foo"], allow=["^Foo/1$"]) is None


def test_remembered_agents_are_bounded():
    """A client that makes one up for each request does not fill the memory."""
    plugin = make(BotDetection)
    for number in range(6000):
        assert plugin.access(exchange((b"user-agent", b"agent %d" % number))) is None
    assert plugin._passes.cache_info().currsize == 4096


def test_long_agents_are_not_remembered():
    """Thousands of them, of as many kilobytes each, would take a hundred megabytes; they are looked at all the same."""
    plugin = make(BotDetection)
    assert plugin.access(exchange((b"user-agent", b"a" * 600))) is None
    assert plugin.access(exchange((b"user-agent", b"a" * 600 + b" Googlebot/2.1"))).status == 403
    assert plugin._passes.cache_info().currsize == 0


def test_what_would_take_exponential_time_elsewhere():
    """Is decided all the same."""
    assert status(b"a" * 5000 + b"!", deny=["(a+)+$"]) is None
