"""Signature: who sent a webhook, and that nobody changed it (Standard Webhooks 1.0).

Signed is `{id}.{timestamp}.{body}`: by a secret that both sides know (`v1`, HMAC-SHA256), or by a
private key whose public half the receiver has (`v1a`, ed25519). While a secret is changed, both the
old and the new one sign, and a receiver is content with either.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from headrace.clock import Clock, SystemClock
from headrace.errors import InvalidOption, InvalidSignature, Unsupported
from headrace.ids import Ids

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

TOLERANCE = 300.0
"""Seconds that a message may be old, or its sender's clock be ahead."""

_SECRET, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"
_SECRET_SIZE = 32
_SECRET_SIZES = range(24, 65)
_KEY_SIZE = 32
_PAIR_SIZE = 64  # a private key is followed by its public one, as in libsodium
_SIGNATURES_LIMIT = 20  # more of them only make work for whoever checks
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)


def new_secret(ids: Ids) -> str:
    """Return a new secret for `v1`, of 32 random bytes."""
    return _SECRET + b64encode(ids.secret(_SECRET_SIZE)).decode()


def new_private_key(ids: Ids) -> str:
    """Return a new private key for `v1a`.

    Raises:
        Unsupported: the extra is not installed.
    """
    seed = ids.secret(_KEY_SIZE)
    return _PRIVATE + b64encode(seed + _public_half(seed)).decode()


def public_key(private: str) -> str:
    """Return the public key that belongs to a private one; it is no secret."""
    return _PUBLIC + b64encode(_public_half(_decoded(private, _PRIVATE)[:_KEY_SIZE])).decode()


def headers(keys: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the fields that sign a message, in lower case.

    Args:
        keys: each of them signs: `whsec_…` and `whsk_…`.
        message_id: the same at every attempt; without a dot.
        timestamp: when this attempt is made, seconds since 1970 UTC.
        body: what is sent, byte by byte.
    """
    signed = _signed(message_id, str(timestamp), body)
    signatures = " ".join(_sign(secret, signed) for secret in keys)
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: signatures}


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: str | Iterable[str],
    *,
    tolerance: float = TOLERANCE,
    clock: Clock | None = None,
) -> str:
    """Check a webhook that was received, in a time that tells nothing about the signature.

    Args:
        body: what was received, before anything has decoded it.
        headers: the request's header fields; upper and lower case do not matter.
        keys: what to check with, `whsec_…` or `whpk_…`; several while a secret is changed.
        tolerance: seconds that it may be old, or from a clock that is ahead.
        clock: tells the time; the system's, unless a test moves it.

    Returns:
        The message's id. It is the same when the message comes again: remember it for a while, and
        do nothing twice.

    Raises:
        InvalidSignature: a field is missing or the time is not now, or no signature fits.
        InvalidOption: a secret is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = given[ID], given[TIMESTAMP], given[SIGNATURE]
    except KeyError as missing:
        raise InvalidSignature(f"the webhook has no field {missing}") from None
    if not _WHOLE.fullmatch(timestamp):
        raise InvalidSignature(f"{TIMESTAMP} is no time")
    if abs((clock or SystemClock()).now() - int(timestamp)) > tolerance:
        raise InvalidSignature(f"{TIMESTAMP} is more than {tolerance:g} s from now")
    signed = _signed(message_id, timestamp, body)
    wanted = [keys] if isinstance(keys, str) else list(keys)
    given_ones = signatures.split(" ", _SIGNATURES_LIMIT)[:_SIGNATURES_LIMIT]
    if not any([_fits(secret, given_ones, signed) for secret in wanted]):  # noqa: C419 - as long for all
        raise InvalidSignature("no signature of the webhook fits")
    return message_id


def check(secret: str) -> None:
    """Return if a secret can sign.

    Raises:
        InvalidOption: it is neither a secret nor a private key.
    """
    _sign(secret, b"")


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _sign(secret: str, signed: bytes) -> str:
    if secret.startswith(_PRIVATE):
        private = _private_key(_decoded(secret, _PRIVATE)[:_KEY_SIZE])
        return "v1a," + b64encode(private.sign(signed)).decode()
    digest = hmac.digest(_decoded(secret, _SECRET), signed, "sha256")
    return "v1," + b64encode(digest).decode()


def _fits(secret: str, signatures: list[str], signed: bytes) -> bool:
    """Return whether one of the signatures is by a secret; the body is signed once for all."""
    if not secret.startswith(_PUBLIC):
        right = _sign(secret, signed).encode()
        return any([hmac.compare_digest(right, each.encode()) for each in signatures])  # noqa: C419 - as long for all
    public = _decoded(secret, _PUBLIC)
    texts = [each.removeprefix("v1a,") for each in signatures if each.startswith("v1a,")]
    return any([_is_by(public, text, signed) for text in texts])  # noqa: C419 - as long for all


def _is_by(public: bytes, text: str, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature as Unfit  # noqa: PLC0415 - optional
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - optional

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public)
        key.verify(b64decode(text, validate=True), signed)
    except (Unfit, binascii.Error, ValueError):
        return False
    return True


def _decoded(secret: str, prefix: str) -> bytes:
    sizes = {_SECRET: _SECRET_SIZES, _PRIVATE: (_KEY_SIZE, _PAIR_SIZE), _PUBLIC: (_KEY_SIZE,)}
    try:
        decoded = b64decode(secret.removeprefix(prefix), validate=True)
    except ValueError:
        decoded = b""
    if not secret.startswith(prefix) or len(decoded) not in sizes[prefix]:
        raise InvalidOption(
            f"a secret is not {prefix} and the base64 of its bytes, as Standard Webhooks writes it"
        )
    return decoded


@lru_cache(maxsize=1000)
def _private_key(seed: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - optional
    except ImportError:
        raise Unsupported("v1a signatures need headrace[webhooks]") from None
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


def _public_half(seed: bytes) -> bytes:
    public: bytes = _private_key(seed).public_key().public_bytes_raw()
    return public
