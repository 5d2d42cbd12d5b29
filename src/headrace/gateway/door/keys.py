"""Key: what an API key may do, as the store keeps it: without the secret, which nobody keeps.

A token is `hr_ID_SECRET`: a prefix that scanners for leaked secrets can look for, the key's id, and
32 random bytes. The store has their SHA-256, which suffices for what cannot be guessed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from headrace.engine import Entry
from headrace.errors import InvalidOption
from headrace.gateway.caller import SCOPES, SHARED, Caller
from headrace.gateway.quota import Quota
from headrace.ids import Ids
from headrace.message import check_name
from headrace.write import Put

KEY_PREFIX = "key/"
USE_PREFIX = "key-use/"

_TOKEN = re.compile(r"hr_(?P<id>[0-9a-f]{16})_(?P<secret>[0-9a-f]{64})")
_PATTERN = re.compile(r"[A-Za-z0-9_.:*?-]{1,128}")


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API key. Moments are seconds since 1970 UTC.

    Attributes:
        id: its public part.
        digest: of its secret, SHA-256, hexadecimal.
        name: what it is for, for people.
        scopes: what it may do, of `SCOPES`.
        queues: patterns of the queues it may use; none: all of them.
        tenant: whose jobs it sees and submits; None: everybody's.
        quota: how many requests it may make.
        created_at: when it was made.
        expires_at: from when on it opens nothing; None: never.
        revoked_at: when it was revoked; it stays, so that its id tells what it was.
        former: digest of the secret before the last rotation.
        former_until: until when that one still holds.
    """

    id: str
    digest: str
    created_at: float
    name: str = ""
    scopes: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    tenant: str | None = None
    quota: Quota | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    former: str = ""
    former_until: float = 0.0

    def opens(self, secret: str, now: float) -> bool:
        """Return whether a secret is this key's, and holds now; how long that takes tells nothing.

        Args:
            secret: what came after the id.
            now: the moment.
        """
        digest = _digest(secret)
        right = hmac.compare_digest(digest, self.digest)
        was_right = hmac.compare_digest(digest, self.former.ljust(len(digest)))
        holds = right or (was_right and now < self.former_until)
        return holds and self.live(now)

    def live(self, now: float) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def caller(self) -> Caller:
        """Return who comes with it."""
        return Caller(
            name=self.id,
            tenant=self.tenant,
            scopes=frozenset(self.scopes),
            queues=self.queues,
            quota=self.quota,
        )

    def put(self, expect: int | None = None) -> Put:
        """Return the write that remembers it; `expect` is the version that it replaces."""
        return Put(KEY_PREFIX + self.id, msgspec.json.encode(self), expect)


NOBODY = Key(id="", digest="0" * 64, created_at=0.0, revoked_at=0.0)
"""What an unknown id is compared with, so that it takes as long as a known one."""


def create(ids: Ids, now: float, **terms: Any) -> tuple[Key, str]:
    """Return a new key and its token, which cannot be told again.

    Args:
        ids: gives the id and the secret.
        now: the moment.
        terms: fields of `Key`: name, scopes, queues, tenant, quota, expires_at.

    Raises:
        InvalidOption: one of them makes no sense.
    """
    secret = ids.secret().hex()
    key = Key(id=ids.nonce(), digest=_digest(secret), created_at=now, **terms)
    _check(key.scopes, key.queues, key.tenant)
    return key, _token(key.id, secret)


def rotate(key: Key, ids: Ids, now: float, grace: float) -> tuple[Key, str]:
    """Return a key with a new secret, and its token. The old one holds for `grace` seconds more."""
    secret = ids.secret().hex()
    changed = msgspec.structs.replace(
        key, digest=_digest(secret), former=key.digest, former_until=now + grace
    )
    return changed, _token(key.id, secret)


def revoke(key: Key, now: float) -> Key:
    """Return a key that opens nothing any more."""
    return msgspec.structs.replace(key, revoked_at=now)


def split(token: str) -> tuple[str, str] | None:
    """Return the id and the secret of a token; None of what is no token."""
    found = _TOKEN.fullmatch(token)
    return (found["id"], found["secret"]) if found else None


def read(entry: Entry) -> Key:
    """Return a key as the store keeps it."""
    return msgspec.json.decode(entry.value, type=Key)


def _token(key_id: str, secret: str) -> str:
    return f"hr_{key_id}_{secret}"


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _check(scopes: Sequence[str], queues: Sequence[str], tenant: str | None) -> None:
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidOption(f"there is no scope {scope!r}; there are {', '.join(SCOPES)}")
    if not scopes:
        raise InvalidOption("a key without scopes opens nothing; name some")
    for pattern in queues:
        if not _PATTERN.fullmatch(pattern):
            raise InvalidOption(f"queue pattern {pattern!r}: use letters, digits, `_ . : - * ?`")
    if tenant is not None:
        check_name("tenant", tenant)
        if shared := sorted(SHARED.intersection(scopes)):
            raise InvalidOption(
                f"a key of one tenant cannot have {', '.join(shared)}: queues are everybody's"
            )
