"""The requests that are sent and what the load tool says of them."""

from __future__ import annotations

import json

import pytest

from benchmarks import heads, load

RESULT = {
    "requests": 50_000,
    "duration_us": 2_500_000,
    "bytes": 1_000_000,
    "p50_us": 1250,
    "p99_us": 4100,
    "max_us": 9000,
    "connect": 0,
    "read": 3,
    "write": 0,
    "status": 2,
    "timeout": 0,
}


def test_the_result_line_is_found_among_what_wrk_prints():
    """Its own summary is ignored."""
    read = load.parse(f"Running 5s test\n  Requests/sec: 1\nRESULT {json.dumps(RESULT)}\n")
    assert (read.requests, read.seconds, read.rate) == (50_000, 2.5, 20_000)
    assert (read.p50_us, read.p99_us, read.max_us, read.received_bytes) == (1250, 4100, 9000, 1_000_000)


def test_only_errors_that_occurred_are_kept():
    """An empty dict means that every request was answered well."""
    assert load.parse(f"RESULT {json.dumps(RESULT)}").errors == {"read": 3, "status": 2}
    assert load.parse(f"RESULT {json.dumps(RESULT | {'read': 0, 'status': 0})}").errors == {}


def test_a_run_of_no_time_has_no_rate():
    """Nothing is divided by zero."""
    assert load.parse(f"RESULT {json.dumps(RESULT | {'duration_us': 0})}").rate == 0.0


@pytest.mark.parametrize("output", ["", "Running 5s test", "RESULT {}\nRESULT {}"])
def test_output_without_one_result_is_an_error(output):
    """A load tool that failed must not look like a slow proxy."""
    with pytest.raises(load.LoadError, match="no result"):
        load.parse(output)


def test_an_absent_wrk_is_named_with_the_command_that_installs_it(monkeypatch):
    """The message is one line that can be acted on."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(load.LoadError, match="apt-get install wrk"):
        load.find_wrk()


def test_requests_are_many_and_all_different():
    """No proxy can gain by remembering the last request."""
    made = heads.requests()
    assert len(made) >= 1000
    assert len(set(made)) == len(made)
    assert len({request.split(" ", 2)[1] for request in made}) == len(made)


def test_requests_look_like_a_browsers():
    """8 to 12 header lines, around 500 bytes, one Host, one empty line at the end."""
    for request in heads.requests():
        lines = request.removesuffix("\r\n\r\n").split("\r\n")[1:]
        assert 8 <= len(lines) <= 12
        assert 400 <= len(request) <= 750
        assert sum(line.startswith("Host: ") for line in lines) == 1


def test_requests_are_the_same_in_every_run():
    """Two reports compare like with like."""
    assert heads.requests() == heads.requests()


def test_a_header_may_differ_from_one_request_to_the_next():
    """A function is asked for its value with the request's number; Connection stands in the usual one's place."""
    made = heads.requests(count=2, headers={"apikey": lambda index: f"key-{index}", "Connection": "close"})
    assert [f"apikey: key-{index}\r\n" in request for index, request in enumerate(made)] == [True, True]
    assert all(request.endswith("\r\nConnection: close\r\n\r\n") for request in made)
    assert all(request.count("Connection: ") == 1 for request in made)


def test_an_upload_says_its_length_and_the_script_has_as_many_bytes():
    """The load tool makes the body, so that the script stays small."""
    made = heads.requests(count=1, upload=1_000_000)
    assert made[0].startswith("POST ")
    assert "Content-Length: 1000000\r\n" in made[0]
    assert 'string.rep("x", 1000000)' in heads.lua_script(made, 1_000_000)


def test_the_script_holds_every_request_as_a_lua_string():
    """Line ends are escaped, so that each request is one line of the script."""
    made = heads.requests(count=3)
    script = heads.lua_script(made)
    assert [json.loads(line.rstrip(",")) for line in script.splitlines() if line.startswith('"GET ')] == made
