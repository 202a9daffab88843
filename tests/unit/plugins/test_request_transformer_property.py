"""request-transformer against hostile values: whatever a client sends, what goes up is one well-formed request."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from hypothesis import given
from hypothesis import strategies as st
from plugin_case import exchange, make

from proxyd.exchange import Reply
from proxyd.http1.target import normalise_path, parse_host
from proxyd.plugins.request_transformer import RequestTransformer

EVIL = [
    b"\r\n",
    b"\n",
    b"\0",
    b"..",
    b"/",
    b"\\",
    b"?",
    b"#",
    b"%",
    b"%2e",
    b"&",
    b"=",
    b" ",
    b":",
    b"@",
    b"[::1]",
    b"X-E: 1",
    b"a",
    b"\xff",
]
values = st.lists(st.sampled_from(EVIL), max_size=6).map(b"".join) | st.binary(max_size=20)
LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*")
plugin = make(
    RequestTransformer,
    add={
        "headers": ["x-new: $(query_params.v)"],
        "querystring": ["new:$(query_params.v)"],
        "body": ["new:$(query_params.v)"],
    },
    replace={
        "headers": ["host:$(query_params.v or 'h')", "x-old:$(query_params.v)"],
        "uri": "/p/$(query_params.v)",
    },
    append={"headers": ["x-more:$(query_params.v)"]},
)


@given(values, st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"text/plain"]))
def test_no_value_breaks_out_of_its_place(value, media):
    """Each line is one field, the target has one form, the host is one: or the request is refused."""
    query = f"?v={quote_from_bytes(value, safe='')}"
    one = exchange((b"X-Old", b"1"), (b"Content-Type", media), target=f"/{query}", method="POST")
    outcome = plugin.access(one)
    if outcome is not None:
        assert isinstance(outcome, Reply)
        assert outcome.status == 400
        return
    lines = one.headers.encode().split(b"\r\n")
    assert lines.pop() == b""
    assert sorted(line.partition(b":")[0].lower() for line in lines) == [
        b"content-type",
        b"x-more",
        b"x-new",
        b"x-old",
    ]
    assert [line for line in lines if LINE.fullmatch(line) is None] == []
    assert normalise_path(one.replaced_path) == one.replaced_path
    assert one.replaced_path.startswith("/p/")
    assert re.fullmatch(r"\?[!-~]*", one.request.query)
    assert "#" not in one.request.query
    assert parse_host(one.replaced_host.encode()) == one.replaced_host
