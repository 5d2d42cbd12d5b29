"""A key opens to its own secret, while it lives, and its entry gives nobody a secret."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.engine import Entry
from headrace.errors import InvalidOption
from headrace.gateway.door.keys import KEY_PREFIX, NOBODY, create, read, revoke, rotate, split
from headrace.gateway.quota import Quota
from headrace.ids import Ids

SCOPES = ("jobs:submit",)
IDS = Ids()


def secret_of(token: str) -> str:
    """Return the secret in a token."""
    parts = split(token)
    assert parts is not None
    return parts[1]


def test_a_key_opens_to_its_secret_alone() -> None:
    key, token = create(IDS, 100.0, scopes=SCOPES)
    other, wrong = create(IDS, 100.0, scopes=SCOPES)
    assert key.id != other.id
    assert split(token) == (key.id, secret_of(token))
    assert key.opens(secret_of(token), 100.0)
    assert not key.opens(secret_of(wrong), 100.0)
    assert not key.opens("", 100.0)
    assert not NOBODY.opens("", 100.0)


def test_the_store_does_not_learn_the_secret() -> None:
    key, token = create(IDS, 100.0, scopes=SCOPES)
    put = key.put()
    assert put.key == KEY_PREFIX + key.id
    assert secret_of(token).encode() not in put.value
    assert read(Entry(put.key, put.value, 1)) == key


def test_expiry() -> None:
    key, token = create(IDS, 100.0, scopes=SCOPES, expires_at=200.0)
    assert key.opens(secret_of(token), 199.9)
    assert not key.opens(secret_of(token), 200.0)


def test_rotation_keeps_the_old_secret_for_a_while() -> None:
    key, old = create(IDS, 100.0, scopes=SCOPES)
    changed, new = rotate(key, IDS, 1000.0, grace=50.0)
    assert changed.id == key.id
    assert secret_of(new) != secret_of(old)
    assert changed.opens(secret_of(new), 5000.0)
    assert changed.opens(secret_of(old), 1049.9)
    assert not changed.opens(secret_of(old), 1050.0)
    again, newest = rotate(changed, IDS, 1010.0, grace=0.0)
    assert again.opens(secret_of(newest), 1010.0)
    assert not again.opens(secret_of(new), 1010.0)
    assert not again.opens(secret_of(old), 1010.0)


def test_a_revoked_key_opens_nothing() -> None:
    key, old = create(IDS, 100.0, scopes=SCOPES)
    changed, new = rotate(key, IDS, 100.0, grace=1000.0)
    gone = revoke(changed, 150.0)
    assert not gone.opens(secret_of(new), 151.0)
    assert not gone.opens(secret_of(old), 151.0)


def test_who_comes_with_it() -> None:
    quota = Quota(5, 10)
    key, _ = create(IDS, 1.0, scopes=SCOPES, queues=("mail-*",), tenant="acme", quota=quota)
    caller = key.caller()
    assert (caller.name, caller.tenant, caller.quota) == (key.id, "acme", quota)
    assert caller.may("jobs:submit", "mail-out")
    assert not caller.may("jobs:submit", "pdf")


@pytest.mark.parametrize(
    "token",
    ["", "hr_1_2", "HR_" + "0" * 16 + "_" + "0" * 64, "hr_" + "0" * 16 + "_" + "0" * 63,
     "hr_" + "0" * 16 + "_" + "0" * 65, "hr_" + "g" * 16 + "_" + "0" * 64, "x" * 8192,
     "hr_" + "0" * 16 + "_" + "\u0660" * 64, "hr_" + "0" * 16 + "_" + "0" * 64 + "\n"],
)  # fmt: skip
def test_what_is_no_token(token: str) -> None:
    assert split(token) is None


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ({"scopes": ()}, "without scopes"),
        ({"scopes": ("jobs:sumbit",)}, "no scope 'jobs:sumbit'; there are"),
        ({"scopes": SCOPES, "queues": ("a b",)}, "queue pattern"),
        ({"scopes": SCOPES, "queues": ("",)}, "queue pattern"),
        ({"scopes": SCOPES, "tenant": "a/b"}, "tenant name"),
        ({"scopes": ("queues:read", "jobs:read"), "tenant": "acme"}, "cannot have queues:read"),
        ({"scopes": ("admin",), "tenant": "acme"}, "cannot have admin"),
    ],
)
def test_terms_that_make_no_sense(terms: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidOption, match=complaint):
        create(IDS, 1.0, **terms)


def test_fields_of_a_later_version_are_no_hindrance() -> None:
    key, _ = create(IDS, 1.0, scopes=SCOPES)
    later = msgspec.to_builtins(key) | {"colour": "red"}
    assert read(Entry("key/x", msgspec.json.encode(later), 2)) == key
