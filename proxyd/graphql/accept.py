"""Which media types a client accepts (RFC 9110 section 12.5.1), as far as it matters to GraphQL over HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

JSON: Final = b"application/json"
RESPONSE: Final = b"application/graphql-response+json"
HTML: Final = b"text/html"

# What an answer may be besides: results one after another.
EVENTS: Final = b"text/event-stream"
STREAMS: Final = (EVENTS, b"multipart/mixed")

LONGEST: Final = 1024  # bytes of an Accept value that are looked at; what lies behind counts as not accepted


class Accepted:
    """What one Accept value means. ``media`` is the type of an answer in one piece, empty where none is accepted."""

    __slots__ = ("html", "media", "streams")

    def __init__(self, media: bytes, streams: tuple[bytes, ...], *, html: bool) -> None:
        self.media = media
        self.streams = streams  # named by the client, the most wanted first
        self.html = html  # named by the client, as browsers do for pages

    def __repr__(self) -> str:
        return f"<Accepted {(self.media or b'nothing').decode()}>"

    @property
    def events(self) -> bool:
        """Whether nothing will do but a stream of events."""
        return not self.media and self.streams[:1] == (EVENTS,)


def accepted(value: bytes | None) -> Accepted:
    """Return what a client accepts.

    It is JSON where it says nothing, or anything, as clients do that are older than the other type.
    """
    return ANYTHING if value is None else _accepted(value[:LONGEST])


@lru_cache(maxsize=256)
def _accepted(value: bytes) -> Accepted:
    qualities: dict[bytes, float] = {}
    for item in value.lower().split(b","):
        name, *parameters = (part.strip(b" \t") for part in item.split(b";"))
        if name:
            qualities[name] = max(_quality(parameters), qualities.get(name, 0.0))

    def quality(media: bytes) -> float:
        for name in (media, media.partition(b"/")[0] + b"/*", b"*/*"):
            if name in qualities:  # the most specific one counts
                return qualities[name]
        return 0.0

    json, response = quality(JSON), quality(RESPONSE)
    # Of two that are wanted alike, the one that is named; of two that are, the one that says more.
    if response > json or (response == json > 0 and RESPONSE in qualities):
        media = RESPONSE
    else:
        media = JSON if json > 0 else b""
    named = [one for one in STREAMS if qualities.get(one, 0.0) > 0]
    streams = sorted(named, key=lambda one: -qualities[one])
    return Accepted(media, tuple(streams), html=qualities.get(HTML, 0.0) > 0)


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


ANYTHING: Final = Accepted(JSON, (), html=False)
