"""A caller may do what its key says, in its queues, and knows of its tenant's jobs alone."""

from __future__ import annotations

from msgspec import Raw

from headrace.gateway.caller import ANONYMOUS, SCOPES, SHARED, Caller
from headrace.message import Message


def test_a_scope_is_good_for_itself_alone() -> None:
    for held in SCOPES:
        caller = Caller(name="k", scopes=frozenset({held}))
        may = {scope for scope in SCOPES if caller.may(scope)}
        assert may == (set(SCOPES) if held == "admin" else {held})


def test_patterns_bound_the_queues() -> None:
    caller = Caller(name="k", scopes=frozenset({"jobs:submit"}), queues=("mail-*", "pdf"))
    assert caller.may("jobs:submit", "mail-out")
    assert caller.may("jobs:submit", "pdf")
    assert not caller.may("jobs:submit", "images")
    assert not caller.may("jobs:read", "pdf")
    assert not caller.uses("Mail-out")
    assert ANONYMOUS.uses("images")


def test_a_tenant_never_has_what_all_share() -> None:
    caller = Caller(name="k", tenant="acme", scopes=frozenset(SCOPES))
    assert {scope for scope in SCOPES if not caller.may(scope)} == SHARED


def test_a_tenant_knows_its_own_jobs() -> None:
    caller = Caller(name="k", tenant="acme")
    assert caller.owns((caller.tag, "art"))
    assert not caller.owns(("tenant:other",))
    assert not caller.owns(())
    assert ANONYMOUS.owns(())


def test_a_job_of_a_strange_queue_is_not_known() -> None:
    caller = Caller(name="k", tenant="acme", queues=("mail-*",))

    def known(queue: str, *tags: str) -> bool:
        message = Message(v=1, id="1", task="send", body=Raw(b"{}"), queue=queue, tags=tags)
        return caller.knows(message)

    assert known("mail-out", caller.tag)
    assert not known("pdf", caller.tag)
    assert not known("mail-out")
