"""The log of what clients were not told: what happened, and no secret."""

from __future__ import annotations

import pytest
from answers_case import asked
from conversation import FakeClock

from proxyd.clock import Clock
from proxyd.graphql.originals import LINES, Originals
from proxyd.telemetry.redact import Redactor

SECRET = "hunter2"  # what no line may hold


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET} is wrong",
        f"password: {SECRET}",
        f'{{"user": "ann", "api_key": "{SECRET}"}}',
        f"{{'token': '{SECRET}'}}",
        f"GET /a?b=1&access_token={SECRET}",
        f"postgres://ann:{SECRET}@db/users refused",
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}xx, x",
        f"sent Bearer {SECRET}abcd to it",
        f"url=https://a.example/?token={SECRET}",
        f'Variable "$input" got invalid value "{SECRET}" at "input.password"; String cannot',
        f"Int cannot represent non-integer value: {SECRET}",
    ],
)
def test_secrets_are_taken_out_of_messages(text):
    """However they are written there."""
    assert SECRET not in Originals(Redactor(), Clock()).text(text)


def test_a_message_stays_readable():
    """What is no secret is what it is logged for."""
    text = 'connect ECONNREFUSED 10.0.0.1:5432, table: users, relation "orders" does not exist'
    assert Originals(Redactor(), Clock()).text(text) == text


def test_a_long_text_takes_no_time():
    """It is cut, and read once from its beginning to its end."""
    text = Originals(Redactor(), Clock()).text("a=" * 1_000_000)
    assert len(text) == 2048


def test_errors_are_logged_with_what_they_belong_to(capfd):
    """Members that are named like secrets are not shown; a code is."""
    error = {
        "message": "no such table",
        "path": ["a"],
        "extensions": {
            "code": "DB",
            "config": {"password": SECRET, "secrets": [SECRET], "token": {"a": SECRET}},
        },
    }
    Originals(Redactor(["secrets"]), Clock()).errors(asked(), [error])
    line = capfd.readouterr().err
    assert SECRET not in line
    assert all(text in line for text in ('"request_id":"r1"', "no such table", '"code":"DB"', '"count":1'))


def test_a_backend_that_always_fails_does_not_fill_the_log(capfd):
    """So many lines in a second; the next tells how many there were not."""
    clock = FakeClock()
    originals = Originals(Redactor(), clock)
    for _ in range(LINES + 5):
        originals.answer(asked(), "the answer is not JSON", b"<html>")
    assert len(capfd.readouterr().err.splitlines()) == LINES
    clock.value += 1.5
    originals.answer(asked(), "the answer is not JSON", b"<html>")
    assert '"left_out":5' in capfd.readouterr().err


def test_deep_and_long_errors_are_cut(capfd):
    """So many levels, so many members, so many errors."""
    deep = {"a": 1}
    for _ in range(200):
        deep = {"a": deep}
    Originals(Redactor(), Clock()).errors(asked(), [deep, {"a": list(range(1000))}] * 20)
    assert len(capfd.readouterr().err) < 4000
