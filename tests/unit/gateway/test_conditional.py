"""An answer that the client has is not sent again (RFC 9110 §13.1.2)."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from headrace.gateway.conditional import answer, is_known, known_to


def asked(*fields: str) -> Request:
    """Return a request with these `If-None-Match` fields."""
    headers = [(b"if-none-match", field.encode()) for field in fields]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        ((), set()),
        (('"a"',), {'"a"'}),
        (('W/"a", "b,c"',), {'"a"', '"b,c"'}),
        (('"a"', '"b"'), {'"a"', '"b"'}),
        (("*",), {"*"}),
        (("a",), set()),
        (('""',), {'""'}),
    ],
)
def test_tags_are_read(fields: tuple[str, ...], tags: set[str]) -> None:
    assert known_to(asked(*fields)) == tags


def test_any_is_known_to_who_says_so() -> None:
    assert is_known('"a"', frozenset({"*"}))
    assert is_known('"a"', frozenset({'"a"'}))
    assert not is_known('"a"', frozenset({'"b"'}))
    assert not is_known('"a"', frozenset())


def test_an_answer_is_sent_to_who_has_it_not() -> None:
    headers = {"ETag": '"a"', "Vary": "Prefer"}
    full = answer(b"{}", "application/json", frozenset(), headers)
    assert (full.status_code, full.body) == (200, b"{}")
    short = answer(b"{}", "application/json", frozenset({'"a"'}), headers)
    assert (short.status_code, short.body) == (304, b"")
    assert short.headers["etag"] == '"a"'
    assert "content-type" not in short.headers
