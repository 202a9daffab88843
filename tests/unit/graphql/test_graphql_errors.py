"""Masking: what clients are told of a backend's errors, in whatever the errors come."""

from __future__ import annotations

import json

import pytest
from answers_case import asked
from hypothesis import given
from hypothesis import strategies as st

from proxyd.clock import Clock
from proxyd.graphql.errors import Errors, Masker, without_suggestion
from proxyd.telemetry.redact import Redactor

GENERAL = {
    "message": "Unexpected error.",
    "extensions": {"code": "INTERNAL_SERVER_ERROR", "request_id": "r1"},
}
SECRET = "connect to db.internal failed"  # what nobody outside is to read


def masker(**config):
    return Masker(Errors(**{"mask": True, **config}), Redactor(), Clock())


def told(payload, **config):
    """Return what a client is told, as JSON."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return json.loads(masker(**config).mask(asked(), text))


def unexpected(**more):
    return {"message": SECRET, **more}


@pytest.mark.parametrize(
    "error",
    [
        unexpected(),
        unexpected(extensions={"code": "INTERNAL_SERVER_ERROR"}),
        unexpected(extensions={"code": "SOMETHING_ELSE"}),
        unexpected(extensions={"code": "FORBIDDEN", "stacktrace": ["at f"]}),
        unexpected(extensions={"code": "FORBIDDEN", "exception": {}}),
        unexpected(extensions={"code": ["FORBIDDEN"]}),
        unexpected(extensions="FORBIDDEN"),
        {"message": {"text": SECRET}, "extensions": {"code": "FORBIDDEN"}},
        SECRET,
        [SECRET],
    ],
    ids=str,
)
def test_an_unexpected_error_is_told_by_a_general_message(error):
    """Whatever it is, and whatever data there is beside it."""
    assert told({"data": {"a": None}, "errors": [error]}) == {"data": {"a": None}, "errors": [GENERAL]}


def test_an_expected_error_is_told_as_it_is():
    """Its code says so; not a byte is changed."""
    text = b'{"errors" : [{"message":"no","path":["a",0],"extensions":{"code":"FORBIDDEN","by":"x"}}], "data":null}'
    assert masker().mask(asked(), text) is text


def test_codes_are_a_setting_but_for_the_one_of_what_is_unexpected():
    """INTERNAL_SERVER_ERROR is never expected."""
    errors = [unexpected(extensions={"code": code}) for code in ("TEAPOT", "INTERNAL_SERVER_ERROR")]
    config = {"expected_codes": ["TEAPOT", "INTERNAL_SERVER_ERROR"]}
    assert told({"errors": errors}, **config) == {"errors": [errors[0], GENERAL]}


@pytest.mark.parametrize(("path", "locations"), [(True, True), (False, True), (True, False), (False, False)])
def test_path_and_locations_are_kept_as_configured(path, locations):
    """Where they are what they should be."""
    where = {"path": ["a", 1], "locations": [{"line": 1, "column": 2}]}
    kept = {name: where[name] for name, keep in (("path", path), ("locations", locations)) if keep}
    answer = told({"errors": [unexpected(**where)]}, keep_path=path, keep_locations=locations)
    assert answer == {"errors": [{**GENERAL, **kept}]}
    assert told({"errors": [unexpected(path=[{"a": SECRET}], locations=[{"source": SECRET}])]}) == {
        "errors": [GENERAL]
    }


def test_errors_of_validation_can_be_let_pass_without_a_code():
    """Those that say a place in the document and no path, where there are no data, and nothing else."""
    error = {"message": "Cannot query field", "locations": [{"line": 1, "column": 2}]}
    for payload, passes in (
        ({"errors": [error]}, True),
        ({"data": None, "errors": [error]}, True),
        ({"data": {"a": None}, "errors": [error]}, False),
        ({"errors": [{**error, "path": []}]}, False),
        ({"errors": [{"message": "no context"}]}, False),
        ({"items": None, "errors": [error]}, False),
    ):
        assert (told(payload, pass_validation=True) == payload) is passes
        assert told(payload) != payload


@pytest.mark.parametrize(
    "payload",
    [
        [{"data": {"a": 1}}, {"errors": [unexpected()]}],
        {"payload": {"data": None, "errors": [unexpected()]}},
        {"payload": None, "errors": [unexpected()]},
        {"id": "1", "type": "next", "payload": {"errors": [unexpected()]}},
        {
            "incremental": [{"data": {}, "path": []}, {"items": None, "errors": [unexpected()]}],
            "hasNext": True,
        },
        {"completed": [{"id": "0", "errors": [unexpected()]}], "hasNext": False},
        {"errors": unexpected()},
    ],
    ids=str,
)
def test_errors_are_found_wherever_responses_have_them(payload):
    """Batches, messages, incremental delivery, multipart subscriptions."""
    answer = json.dumps(told(payload))
    assert SECRET not in answer
    assert GENERAL["message"] in answer


def test_data_is_left_alone():
    """Fields are called errors, too."""
    payload = {"data": {"save": {"errors": [unexpected()], "payload": {"errors": [SECRET]}}}}
    text = json.dumps(payload).encode()
    assert masker().mask(asked(), text) is text


def test_numbers_stay_as_they_were_written():
    """Also beside an error that is masked."""
    numbers = b'"a":123456789012345678901234567890,"b":1.10'
    answer = masker().mask(asked(), b'{"data":{%b},"errors":[{"message":"x"}]}' % numbers)
    assert numbers in answer
    assert b'"x"' not in answer


@pytest.mark.parametrize(
    "key", ["\\u0065rrors", "err\\u006frs", "\\u0065\\u0072\\u0072\\u006F\\u0072\\u0073"]
)
def test_a_name_that_is_written_with_escapes_is_found(key):
    """JSON has many ways to write a name."""
    text = f'{{"data":null,"{key}":[{{"message":"{SECRET}"}}]}}'
    assert told(text.encode()) == {"data": None, "errors": [GENERAL]}


def _escaped(text):
    return st.tuples(*(st.sampled_from((one, f"\\u{ord(one):04x}", f"\\u{ord(one):04X}")) for one in text))


@given(_escaped("errors"), st.booleans())
def test_no_way_to_write_the_name_gets_past(letters, beginning):
    """Whichever of its letters are escaped, and wherever it stands."""
    error = f'"{"".join(letters)}":[{{"message":"{SECRET}"}}]'
    members = f'{error},"data":null' if beginning else f'"data":null,{error}'
    text = f"{{{members}}}"
    assert SECRET not in json.dumps(told(text.encode()))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_no_way_past(encoding):
    """What is not UTF-8 is not GraphQL."""
    text = json.dumps({"errors": [unexpected()]}).encode(encoding)
    assert told(text) == {"errors": [GENERAL]}


@pytest.mark.parametrize(
    "payload",
    [
        b"<html>",
        b"",
        b'{"errors":',
        b'"errors"',
        b'["errors"]',
        b"[" * 2000 + b'"errors"',
        b'{"errors":[NaN]}',
    ],
    ids=str,
)
def test_what_cannot_be_read_is_replaced(payload):
    """An answer to an operation has to be GraphQL's."""
    assert json.loads(masker().answer(asked(), payload)) == {"errors": [GENERAL]}


@pytest.mark.parametrize(
    "payload", [{"message": SECRET}, [{"stack": SECRET}], {"error": SECRET}, [], None], ids=str
)
def test_what_is_no_graphql_is_replaced(payload):
    """JSON alone does not do; a batch of nothing is one."""
    answer = masker().answer(asked(), json.dumps(payload).encode())
    assert json.loads(answer) == ([] if payload == [] else {"errors": [GENERAL]})


def test_an_answer_without_errors_is_not_touched():
    """The same bytes come back, white space and all."""
    for text in (
        b'{"data":{"a": 1}}',
        b'{ "data": {"a": "\\u00e9"} }',
        b'[{"data":null}]',
        b'{"data":{"A":"\\u0041"}}',
    ):
        assert masker().answer(asked(), text) is text


def test_the_errors_of_a_subscription_that_could_not_begin():
    """A list, or one alone."""
    assert json.loads(masker().mask_errors(asked(), json.dumps([unexpected()]).encode())) == [GENERAL]
    assert json.loads(masker().mask_errors(asked(), json.dumps(unexpected()).encode())) == GENERAL
    assert json.loads(masker().mask_errors(asked(), b"broken")) == GENERAL


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (
            'Cannot query field "nam" on type "User". Did you mean "name"?',
            'Cannot query field "nam" on type "User".',
        ),
        ("Unknown type 'A'. Did you mean 'B', 'C', or 'D'?", "Unknown type 'A'."),
        (
            "Field 'nam' doesn't exist on type 'User' (Did you mean `name`?)",
            "Field 'nam' doesn't exist on type 'User'",
        ),
        ("No such field", "No such field"),
    ],
)
def test_what_validation_suggests_is_cut_off(message, short):
    """Whoever wrote the backend."""
    assert without_suggestion(message) == short
    error = {"message": message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
    assert told({"errors": [error]})["errors"][0]["message"] == short
    assert told({"errors": [error]}, mask=False, hide_suggestions=True)["errors"][0]["message"] == short
    assert told({"errors": [error]}, hide_suggestions=False)["errors"][0]["message"] == message


def test_a_question_of_an_application_is_not_a_suggestion():
    """A field asks it, which validation never does."""
    error = {"message": "Did you mean it?", "path": ["a"], "extensions": {"code": "BAD_USER_INPUT"}}
    assert told({"errors": [error]}) == {"errors": [error]}


def test_extensions_are_filtered_by_lists():
    """Of errors, and of responses; a code always stays."""
    error = {"message": "no", "extensions": {"code": "FORBIDDEN", "field": "a", "service": "users"}}
    payload = {"data": None, "errors": [error], "extensions": {"tracing": {}, "cost": 1}}
    answer = told(payload, mask=False, error_extensions=["field"], response_extensions=["cost"])
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN", "field": "a"}
    assert answer["extensions"] == {"cost": 1}
    assert told({"data": 1, "extensions": {"tracing": {}}}, response_extensions=["cost"])["extensions"] == {}


def test_what_is_off_looks_at_nothing():
    """Not even at what is no JSON."""
    off = Masker(Errors(), Redactor(), Clock())
    assert off.answer(asked(), b'{"errors":') == b'{"errors":'
    assert repr(off) == "<Masker off masked=0>"
