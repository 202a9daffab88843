r"""Coverage-guided fuzzing of the codec by atheris, for as long as one likes; CONTRIBUTING.md tells how to run it.

    python tests/fuzz/fuzz_http1.py TARGET [libFuzzer options]

TARGET is ``requests``, ``answers``, ``chunks`` or ``targets``. The seeds are the corpus of hostile input; what is found to
be new is kept in ``.fuzz/TARGET``, and an input that fails is written to the working directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

with atheris.instrument_imports(include=["proxyd"]):
    from hostile_corpus import ANSWERS, REQUESTS
    from hostile_reading import hold_to_h11, read_answers, read_requests, same, without_scanner

    from proxyd.errors import ProtocolError
    from proxyd.http1.framing import ChunkedDecoder
    from proxyd.http1.target import normalise_path, parse_host, parse_target, plain_form

METHODS = ("GET", "HEAD")
KEPT = 100_000  # bytes of an input that are looked at


def pieces(data: bytes, choice: int) -> list[bytes]:
    """Cut bytes into pieces whose sizes follow from ``choice``, 0 to 255."""
    size = choice % 16 + 1
    first = choice // 16
    return [data[:first], *(data[at : at + size] for at in range(first, len(data), size))]


def requests(data: bytes) -> None:
    """Hold what a client might send: in pieces, by both readers, and forwarded, it is one thing."""
    choice, data = (data[0], data[1:KEPT]) if data else (0, b"")
    whole = read_requests([data])
    assert whole == without_scanner(read_requests, [data]), "the scanner and its twin differ"
    assert same(whole, read_requests(pieces(data, choice))), "the pieces make a difference"
    hold_to_h11(data)


def answers(data: bytes) -> None:
    """Hold what an upstream might send: in pieces, and by both readers, it is one thing."""
    choice, data = (data[0], data[1:KEPT]) if data else (0, b"")
    method = METHODS[choice % 2]
    whole = read_answers([data], method)
    assert whole == without_scanner(read_answers, [data], method), "the scanner and its twin differ"
    assert same(whole, read_answers(pieces(data, choice), method)), "the pieces make a difference"


def chunks(data: bytes) -> None:
    """Take chunks apart whole and in pieces."""
    choice, data = (data[0], data[1:KEPT]) if data else (0, b"")
    outcomes = [decoded([data]), decoded(pieces(data, choice))]
    if not all(outcome[0] == "refused" for outcome in outcomes):
        assert outcomes[0] == outcomes[1], "the pieces make a difference"


def decoded(parts: list[bytes]) -> tuple[object, ...]:
    """Return payload, trailers and what is left behind the end of a chunked body, or that it was refused."""
    decoder, payload, rest = ChunkedDecoder(), b"", b""
    try:
        for part in parts:
            if decoder.done:
                rest += part
            else:
                data, rest = decoder.feed(part)
                payload += data
    except ProtocolError:
        return ("refused",)
    return payload, decoder.trailers, rest, decoder.done


def targets(data: bytes) -> None:
    """Hold targets and hosts: what comes out is its own one form, in ASCII, and nothing that climbs."""
    method = ("GET", "OPTIONS")[data[:1] == b"\1"]
    try:
        path, query, authority = parse_target(method, data[1:])
    except ProtocolError:
        pass
    else:
        assert path == "*" or normalise_path(path) == path, "the normal form is not normal"
        assert (path + query).isascii()
        assert not set(path + query) & set("\r\n\0 #")
        assert "/../" not in f"{path}/"
        assert "/../" not in f"{plain_form(path)}/"
        assert authority is None or authority in data
    try:
        host = parse_host(data[1:])
    except ProtocolError:
        return
    assert parse_host(host.encode()) == host, "the normal form is not normal"


TARGETS = {"requests": requests, "answers": answers, "chunks": chunks, "targets": targets}


def seeds(target: str) -> list[bytes]:
    """Return the bytes to start from."""
    if target == "requests":
        return [b"\x21" + case.data for case in REQUESTS.values()]
    if target == "answers":
        return [b"\x21" + case.data for case in ANSWERS.values()]
    if target == "targets":
        return [b"\0" + case.data.split(b" ")[1] for case in REQUESTS.values() if case.data.count(b" ") > 1]
    cases = [*REQUESTS.values(), *ANSWERS.values()]
    return [b"\x21" + case.data.partition(b"\r\n\r\n")[2] for case in cases if b"chunked" in case.data]


def main() -> None:
    """Write the seeds, and fuzz."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(TARGETS)} [libFuzzer options, such as -max_total_time=600]")
    target = sys.argv[1]
    directory = ROOT / ".fuzz" / target
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (directory / f"seed{number}").write_bytes(seed)
    arguments = [sys.argv[0], "-max_len=4096", *sys.argv[2:], str(directory)]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
