"""What an Accept value means for a GraphQL answer."""

from __future__ import annotations

import pytest

from proxyd.graphql.accept import JSON, RESPONSE, accepted

NOTHING = b""


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (None, JSON),
        (b"*/*", JSON),
        (b"application/*", JSON),
        (b"application/json", JSON),
        (b"Application/JSON; charset=utf-8", JSON),
        (b"application/graphql-response+json", RESPONSE),
        (b"application/graphql-response+json, application/json", RESPONSE),
        (b"application/json, application/graphql-response+json", RESPONSE),
        (b"application/graphql-response+json, application/json;q=0.9", RESPONSE),
        (b"application/graphql-response+json;q=0.5, application/json", JSON),
        (b"application/graphql-response+json;q=0, */*", JSON),
        (b"application/json;q=0, application/graphql-response+json;q=0.1", RESPONSE),
        (b"application/json;q=0, */*", RESPONSE),
        (b"text/html, */*;q=0.1", JSON),
        (b"*/*;q=0", NOTHING),
        (b"text/html", NOTHING),
        (b"application/json;q=nonsense", NOTHING),
        (b"", NOTHING),
        (b", ,", NOTHING),
        (b"text/html," * 200 + b"application/json", NOTHING),
    ],
)
def test_the_media_type_of_an_answer(value, media):
    """By quality, then by what is named; JSON for who takes anything, as older clients do."""
    assert accepted(value).media == media


def test_streams_and_pages():
    """Are told apart from answers in one piece, and only where they are named."""
    found = accepted(b"text/html, multipart/mixed;q=0.5, text/event-stream, application/json;q=0.2")
    assert (found.html, found.streams, found.media) == (
        True,
        (b"text/event-stream", b"multipart/mixed"),
        JSON,
    )
    anything = accepted(b"*/*")
    assert (anything.html, anything.streams) == (False, ())
    assert repr(found) == "<Accepted application/json>"
