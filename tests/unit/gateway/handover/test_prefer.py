"""Preferences are understood as RFC 7240 writes them, and whatever else is there is ignored."""

from __future__ import annotations

import pytest

from headrace.gateway.handover.prefer import Preferences, preferences


@pytest.mark.parametrize(
    ("fields", "wait", "respond_async"),
    [
        (["wait=10"], 10, False),
        (["respond-async, wait=10"], 10, True),
        (["respond-async", "Wait = 5 ; x=y"], 5, True),
        (['wait="7"'], 7, False),
        (["wait=1", "wait=2"], 1, False),
        (['foo; a="wait=3, wait=4", wait=5'], 5, False),
        (["wait"], None, False),
        (["wait=-1"], None, False),
        (["wait=soon"], None, False),
        (["return=minimal"], None, False),
        ([",;=,,"], None, False),
    ],
)
def test_the_first_of_each_counts(
    fields: list[str], wait: int | None, *, respond_async: bool
) -> None:
    assert preferences(fields) == Preferences(wait, respond_async)


def test_a_field_of_spaces_is_read_at_once() -> None:
    assert preferences(["," + " " * 100_000 + ",wait=5"]) == Preferences(5)
