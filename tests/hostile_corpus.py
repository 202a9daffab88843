r"""The corpus of hostile input: what is sent, and what must become of it. The format: data/hostile/README.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data/hostile"
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|\{(\d+)\*([^}]*)\}|(.))")
_PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\"}


@dataclass
class Sent:
    """One request as the origin gets it, or one answer as the client does."""

    start: str
    body: bytes = b""
    has: list[tuple[str, bytes]] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    trailers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class Case:
    """One case: its bytes, why they are hostile, and the verdict as steps of ``(word, status, closed)``."""

    name: str
    kind: str
    why: str = ""
    steps: list[tuple[str, int, bool]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    data: bytes = b""

    @property
    def verdict(self) -> str:
        return ", ".join(
            f"{word}{f' {status}' if status else ''}{' and closed' if closed and word != 'refused' else ''}"
            for word, status, closed in self.steps
        )

    @property
    def pieces(self) -> list[bytes]:
        """The bytes one by one; in longer pieces where there are many."""
        size = max(1, len(self.data) // 1000)
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]


def unescaped(text: str) -> bytes:
    """Return what a line of the corpus stands for; other characters than ASCII are written as escapes."""
    out, position = b"", 0
    for match in _ESCAPE.finditer(text):
        out += text[position : match.start()].encode("ascii")
        digits, times, repeated, plain = match.groups()
        if digits:
            out += bytes([int(digits, 16)])
        elif times:
            out += unescaped(repeated) * int(times)
        else:
            out += _PLAIN[plain]
        position = match.end()
    return out + text[position:].encode("ascii")


def line_bytes(text: str) -> bytes:
    """Return a line with its CRLF, or without where it ends in a single backslash."""
    slashes = len(text) - len(text.rstrip("\\"))
    return unescaped(text[:-1]) if slashes % 2 else unescaped(text) + b"\r\n"


def _step(text: str) -> tuple[str, int, bool]:
    match = re.fullmatch(
        r"(forwarded|nothing|cut|(?:answered|refused|passed) (\d{3}))( and closed)?", text.strip()
    )
    if match is None:
        raise ValueError(f"no verdict: {text!r}")
    word = match[1].split(" ")[0]
    return word, int(match[2] or 0), bool(match[3]) or word == "refused"


def _pair(value: str) -> tuple[str, bytes]:
    name, _, rest = value.partition(":")
    return name, unescaped(rest.strip())


def _take(case: Case, key: str, value: str) -> None:
    if key == "why":
        case.why = value
    elif key == "verdict":
        case.steps = [_step(step) for step in value.split(",")]
    elif key == "to":
        case.sent.append(Sent(value))
    elif key in {"split", "then", "reused", "method", "early"}:
        case.options[key] = value
    else:
        if not case.sent:
            case.sent.append(Sent(""))
        last = case.sent[-1]
        if key == "body":
            last.body = unescaped(value)
        elif key == "trailer":
            last.trailers.append(_pair(value))
        elif key == "has":
            last.has.append(_pair(value))
        else:
            {"lacks": last.lacks, "counts": last.counts}[key].append(value)


def read(path: Path) -> list[Case]:
    """Read one file of cases."""
    cases: list[Case] = []
    kind = ""
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        if line.startswith("|"):
            cases[-1].data += line_bytes(line[1:].removeprefix(" "))
        elif line and not line.startswith("#"):
            key, mark, value = line.partition(":")
            value = value.strip()
            if not mark:
                raise ValueError(f"{path.name}:{number}: neither key nor bytes")
            if key == "class":
                kind = value
            elif key == "name":
                cases.append(Case(value, kind))
            else:
                _take(cases[-1], key, value)
    return cases


def _all(directory: str) -> dict[str, Case]:
    cases = [case for path in sorted((DATA / directory).glob("*.txt")) for case in read(path)]
    return {case.name: case for case in cases}


REQUESTS = _all("requests")
ANSWERS = _all("answers")


def table() -> str:
    """Return how many cases of each class there are, and what becomes of them, as Markdown; docs/security.md has it."""
    rows = []
    for title, cases, words in (
        ("requests", REQUESTS, ("forwarded", "answered", "refused", "nothing")),
        ("answers", ANSWERS, ("passed", "refused", "cut")),
    ):
        names = {
            "forwarded": "forwarded",
            "answered": "answered",
            "nothing": "not heard of",
            "passed": "passed on",
        }
        heads = [names.get(word, word) for word in words]
        rows += [f"| {title} | cases | {' | '.join(heads)} |", "|---|---|" + "---|" * len(words)]
        kinds = list(dict.fromkeys(case.kind for case in cases.values()))
        for kind in [*sorted(kinds, key=str.lower), ""]:
            chosen = [case for case in cases.values() if case.kind == kind or not kind]
            cells = [_cell([case.steps[-1] for case in chosen], word) for word in words]
            rows.append(f"| {kind or 'all'} | {len(chosen)} | {' | '.join(cells)} |")
        rows.append("")
    return "\n".join(rows)


def _cell(steps: list[tuple[str, int, bool]], word: str) -> str:
    statuses = [status for found, status, _ in steps if found == word]
    named = ", ".join(str(status) for status in sorted(set(statuses)) if status)
    return f"{len(statuses)}{f' ({named})' if named and word != 'passed' else ''}" if statuses else ""
