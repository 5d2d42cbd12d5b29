"""A JSON text is read alike by everybody, or not at all."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.gateway.handover.document import canonical, read
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

SMALL = Settings(max_depth=3, max_keys=4)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_what_others_write_is_read(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert read(text.encode(), Settings()) == value


@given(VALUES)
def test_spaces_and_order_do_not_matter(value: Any) -> None:
    dense = json.dumps(value, separators=(",", ":")).encode()
    loose = json.dumps(value, indent=2, sort_keys=True).encode()
    limits = Settings()
    assert canonical(read(dense, limits)) == canonical(read(loose, limits))


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused(text: bytes) -> None:
    with suppress(Problem):
        read(text, Settings())


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (b"", 400, "the body is empty"),
        (b"\xff", 400, "not UTF-8"),
        (b'{"a": 1', 400, "is no JSON"),
        (b"[NaN]", 400, "is no JSON"),
        (b"[1e400]", 400, "a number cannot be represented"),
        (b"[" + b"9" * 5000 + b"]", 400, "a number cannot be represented"),
        (rb'["\udead"]', 422, "half of a surrogate pair"),
        (b'{"a": 1, "b": 2, "a": 3}', 400, "'a' is there more than once"),
        (rb'[{"a:": 1, "\u0061:": 2}]', 400, "'a:' is there more than once"),
        (b"[[[[]]]]", 400, "the limit is 3 levels"),
        (b"[" * 100_000, 400, "the limit is 3 levels"),
        (b'[{"a": 1, "b": 2}, {"c": 3, "d": 4, "e": 5}]', 413, "5 members; the limit is 4"),
    ],
)
def test_what_is_ambiguous_or_too_much_is_refused(text: bytes, status: int, says: str) -> None:
    with pytest.raises(Problem, match=says) as caught:
        read(text, SMALL)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "text",
    [
        b'{"a:b": "c:d", "e": ":"}',
        rb'{"say": "\"x\": \"y\""}',
        b'{"a": 1, "b": {"a": 2}}',
        b"[[[1]]]",
        b'"no object"',
        rb'["\ud83d\ude00"]',
    ],
)
def test_what_only_looks_so_is_read(text: bytes) -> None:
    assert read(text, SMALL) == json.loads(text)


def test_several_documents_in_one_text_may_have_as_many_members_each() -> None:
    text = b'[{"a": 1, "b": 2}, {"c": 3, "d": 4, "e": 5}]'
    assert read(text, SMALL, times=2)


def test_numbers_keep_their_kind() -> None:
    assert canonical(read(b"[1, 1.0, -0.0]", SMALL)) == b"[1,1.0,-0.0]"


def test_a_name_that_is_there_twice_is_found_among_very_many() -> None:
    members = ",".join(f'"{number}":0' for number in range(100_000))
    with pytest.raises(Problem, match="'7' is there more than once"):
        read(f'{{{members},"7":0}}'.encode(), Settings(), 1000)
