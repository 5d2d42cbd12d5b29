"""Options make sense when they are given, or say what would."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import msgspec
import pytest

from headrace.errors import InvalidOption
from headrace.message import NO_TIMEOUT, Retention
from headrace.options import Given, Options
from headrace.retry import Retry, RetryPolicy

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


def test_both_lists_of_fields_agree() -> None:
    assert get_type_hints(Given) == get_type_hints(Options)
    assert list(get_type_hints(Given)) == [field.name for field in dataclasses.fields(Options)]


def test_nothing_given_is_a_plain_message() -> None:
    message = Options().envelope("mail", Options())
    assert (message.task, message.queue, message.priority) == ("mail", "default", 0)
    assert message.retry is None
    assert message.run_at is None
    assert message.delay is None


def test_every_option_is_in_the_message() -> None:
    options = Options(
        queue="images",
        priority=-3,
        delay=timedelta(minutes=1),
        expires=60,
        unique_key="u",
        on_conflict="replace",
        order_key="o",
        order_on_wait="skip",
        timeout=5,
        lease=7,
        retention=Retention(dead=1),
        retry=Retry(attempts=2),
        tags=["a", "b"],
        headers={"k": "v"},
        trace="00-x",
    )
    message = options.envelope("mail", Options())
    assert (message.queue, message.priority, message.delay) == ("images", -3, 60.0)
    assert (message.expires_after, message.expires) == (60.0, None)
    assert (message.unique_key, message.on_conflict) == ("u", "replace")
    assert (message.order_key, message.order_on_wait) == ("o", "skip")
    assert (message.timeout, message.lease) == (5, 7)
    assert message.retention == Retention(dead=1)
    assert message.retry == RetryPolicy(attempts=2)
    assert (message.tags, message.headers, message.trace) == (("a", "b"), {"k": "v"}, "00-x")


def test_moments_are_seconds_since_1970() -> None:
    message = Options(run_at=MOMENT, expires=MOMENT).envelope("mail", Options())
    assert (message.run_at, message.expires) == (MOMENT.timestamp(), MOMENT.timestamp())
    assert (message.delay, message.expires_after) == (None, None)


def test_what_the_task_declares_stays_with_the_task() -> None:
    declared = Options(retry=Retry(attempts=9), timeout=60)
    assert declared.envelope("mail", declared).retry is None
    assert declared.envelope("mail", declared).timeout is None
    assert declared.changed({"timeout": None}).envelope("mail", declared).timeout == NO_TIMEOUT
    unlimited = Options()
    assert unlimited.changed({"timeout": None}).envelope("mail", unlimited).timeout is None
    changed = declared.changed({"timeout": 5, "retry": Retry(attempts=1)})
    assert changed.envelope("mail", declared).timeout == 5
    assert changed.envelope("mail", declared).retry == RetryPolicy(attempts=1)


def test_delay_and_run_at_replace_each_other() -> None:
    later = Options(delay=5).changed({"run_at": MOMENT})
    assert (later.delay, later.run_at) == (None, MOMENT)
    sooner = later.changed({"delay": 1})
    assert (sooner.delay, sooner.run_at) == (1, None)
    assert later.changed({"delay": None}).run_at == MOMENT


def test_changing_leaves_the_original_alone() -> None:
    original = Options(priority=1)
    assert original.changed({"priority": 2}).priority == 2
    assert original.priority == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"queue": "no spaces"}, "queue name"),
        ({"priority": 1.5}, "priority=1.5: must be a whole number"),
        ({"priority": True}, "priority=True"),
        ({"priority": 10**7}, "from -1000000 to 1000000"),
        ({"delay": -1}, "delay=-1: must be seconds"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"delay": 1, "run_at": MOMENT}, "give one of them"),
        ({"run_at": datetime(2030, 1, 1)}, "must be a datetime with a time zone"),  # noqa: DTZ001 - that is the point
        ({"run_at": 5}, "run_at=5"),
        ({"expires": datetime(2030, 1, 1)}, "expires=.*time zone"),  # noqa: DTZ001 - as above
        ({"expires": -1}, "expires=-1"),
        ({"unique_key": ""}, "unique_key ''"),
        ({"order_key": "x" * 256}, "order_key"),
        ({"on_conflict": "ignore"}, "'reject' or 'replace'"),
        ({"order_on_wait": "wait"}, "'hold' or 'skip'"),
        ({"retry": 5}, r"retry=5: must be such as Retry\(attempts=5\)"),
        ({"timeout": 0}, "timeout=0: must be seconds, more than 0"),
        ({"lease": float("inf")}, "lease=inf"),
        ({"retention": 5}, "retention=5"),
        ({"tags": "abc"}, "must be a list of texts"),
        ({"tags": ["a"] * 33}, "33 are too many"),
        ({"tags": ["\n"]}, "tag"),
        ({"headers": {"a": 1}}, "must be texts"),
        ({"headers": {"a": "x" * 20_000}}, "over the limit of 16384"),
        ({"headers": {"a": "\ud800"}}, "surrogates"),
        ({"headers": [1]}, r"headers=\[1\]: must be a mapping"),
        ({"tags": [1]}, "tag 1"),
        ({"tags": 5}, "tags=5: must be a list"),
        ({"queue": None}, "queue name None"),
        ({"unique_key": 5}, "unique_key 5"),
        ({"order_key": b"k"}, "order_key b'k'"),
        ({"trace": 5}, "trace 5"),
        ({"wait": -1}, "wait=-1"),
    ],
)
def test_nonsense_is_refused(given: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        Options().changed(given)


def test_seconds_of_another_number_class_can_be_sent() -> None:
    class Float(float):
        """What NumPy's float64 is, too: msgspec encodes none but the plain ones."""

    options = Options(timeout=Float(5), lease=Float(6), delay=Float(7), expires=Float(8))
    sent = msgspec.json.encode(options.envelope("t", Options()))
    assert b'"delay":7.0,"expires_after":8.0,"timeout":5.0,"lease":6.0' in sent


def test_an_unknown_name_is_refused_with_what_was_meant() -> None:
    misspelt: Any = {"prioriti": 1}
    with pytest.raises(InvalidOption, match="'prioriti': did you mean priority"):
        Options().changed(misspelt)
    strange: Any = {"zzz": 1}
    with pytest.raises(InvalidOption, match="there are queue, priority"):
        Options().changed(strange)


def test_rules_for_exceptions_belong_to_the_task() -> None:
    with pytest.raises(InvalidOption, match="belongs to the task"):
        Options().changed({"retry": Retry(never=(ValueError,))})
    assert Options(retry=Retry(never=(ValueError,))).changed({"priority": 1}).priority == 1


def test_a_trace_can_be_found_by_its_tag() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    message = Options(trace=trace, tags=["a"]).envelope("mail", Options())
    assert message.tags == ("a", "trace:4bf92f3577b34da6a3ce929d0e0e4736")
    assert Options(trace="nonsense").envelope("mail", Options()).tags == ()
