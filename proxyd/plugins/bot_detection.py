"""bot-detection: requests of programs that say in their User-Agent what they are."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import re2
from pydantic import AfterValidator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.model.grammar import check_regex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange

_CACHED = 4096  # User-Agents whose verdict is remembered
_LONGEST = 512  # bytes of one that is: with the former, a bound on memory

# Crawlers, previews and archivers by the names that they give themselves. Names alone are looked for where no browser
# or device has them in its own (Cubot makes telephones); what calls an API on purpose, curl and the like, is none.
_NAMES: Final = (
    "360Spider",
    "AdsBot-Google",
    "Amazonbot",
    "anthropic-ai",
    "APIs-Google",
    "Applebot",
    "archive.org_bot",
    "Baiduspider",
    "bingbot",
    "BingPreview",
    "BLEXBot",
    "Bytespider",
    "CCBot",
    "ChatGPT-User",
    "Claude-SearchBot",
    "Claude-User",
    "ClaudeBot",
    "cohere-ai",
    "Diffbot",
    "Discordbot",
    "DuckDuckBot",
    "Embedly",
    "Exabot",
    "facebookcatalog",
    "facebookexternalhit",
    "Google-InspectionTool",
    "Google-Read-Aloud",
    "Googlebot",
    "GoogleOther",
    "GPTBot",
    "heritrix",
    "HTTrack",
    "ia_archiver",
    "ICC-Crawler",
    "ImagesiftBot",
    "LinkedInBot",
    "magpie-crawler",
    "Mediapartners-Google",
    "meta-externalagent",
    "meta-externalfetcher",
    "Nutch",
    "OAI-SearchBot",
    "omgili",
    "PerplexityBot",
    "PetalBot",
    "Pinterestbot",
    "redditbot",
    "Screaming Frog SEO Spider",
    "Scrapy",
    "SemrushBot",
    "SeznamBot",
    "Slackbot",
    "Sogou web spider",
    "TelegramBot",
    "Twitterbot",
    "UptimeRobot",
    "Yahoo! Slurp",
    "YandexBot",
    "Yeti/",
    "YisouSpider",
)
# Others are told by what their kind is called, with a version behind it.
_KINDS: Final = r"(?:bot|crawler|spider|scraper)(?:-[a-z]+)?/v?[0-9]"

Regex = Annotated[str, AfterValidator(check_regex)]


class Config(plugin.Config):
    """Settings of bot-detection (Kong's ``kong/plugins/bot-detection/schema.lua``)."""

    renamed: ClassVar[dict[str, str]] = {"whitelist": "allow", "blacklist": "deny"}

    allow: tuple[Regex, ...] = ()
    """Regular expressions for User-Agents that pass, whatever else holds."""
    deny: tuple[Regex, ...] = ()
    """Regular expressions for User-Agents that are refused, beside those of known bots."""


class BotDetection(plugin.Plugin[Config]):
    """Refuses bots by their User-Agent; a request without one passes, as in Kong.

    It keeps the honest ones out: a User-Agent is whatever a client writes into it.
    """

    name = "bot-detection"
    priority = 2500
    answers = (
        (400, "there is more than one User-Agent"),
        (403, "the User-Agent is a bot's"),
    )

    def prepare(self) -> None:
        """Compile the expressions, which RE2 runs in time linear in the text."""
        config = self.config
        self._allow = _compile(config.allow)
        self._deny = _compile(config.deny)
        self._passes = lru_cache(_CACHED)(self._look_up)

    def access(self, exchange: Exchange) -> Reply | None:
        """Look at the User-Agent."""
        agents = exchange.headers.get_all(b"user-agent")
        if not agents:
            return None
        if len(agents) > 1:
            return Reply(400, "Only one User-Agent header allowed")
        (agent,) = agents
        passes = self._passes if len(agent) <= _LONGEST else self._look_up
        return None if passes(agent) else Reply(403, "Forbidden")

    def _look_up(self, agent: bytes) -> bool:
        text = agent.decode("utf-8", "replace")
        if any(one.search(text) for one in self._allow):
            return True
        return not any(one.search(text) for one in (*self._deny, _BOTS))


def _compile(sources: Iterable[str], *, ignore_case: bool = False) -> tuple[re2._Regexp, ...]:
    options = re2.Options()
    options.log_errors = False  # RE2 would write to standard error
    options.case_sensitive = not ignore_case
    return tuple(re2.compile(source, options) for source in sources)


(_BOTS,) = _compile(["|".join((*map(re2.escape, _NAMES), _KINDS))], ignore_case=True)
