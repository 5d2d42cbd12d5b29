"""What is told travels as it is."""

from __future__ import annotations

from headrace.webhooks.envelope import QUEUE, TASK, Content, content, envelope


def test_what_is_put_in_comes_out() -> None:
    told = Content(event="e", body='{"é": 1.0}', endpoint="ep")
    message = envelope(told, "d", ("endpoint:ep",), "trace")
    assert content(message) == told
    assert (message.id, message.task, message.queue) == ("d", TASK, QUEUE)
    assert (message.tags, message.trace) == (("endpoint:ep",), "trace")
