"""A receiver can tell who sent a webhook, with our `verify` and with the official library."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest
import standardwebhooks
from cryptography.exceptions import InvalidSignature as Unfit
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from headrace.errors import InvalidOption, InvalidSignature
from headrace.ids import Ids
from headrace.testing import ManualClock
from headrace.webhooks import signature as module
from headrace.webhooks import verify
from headrace.webhooks.signature import (
    SIGNATURE,
    check,
    headers,
    new_private_key,
    new_secret,
    public_key,
)

BODY = json.dumps({"type": "headrace.ping", "data": {"é": 1}}).encode()
SECRET, OTHER = new_secret(Ids()), new_secret(Ids())
PRIVATE = new_private_key(Ids())
NOW = 1_700_000_000


def signed(*secrets: str, at: int = NOW) -> dict[str, str]:
    return headers(secrets, "msg", at, BODY)


def is_genuine(given: dict[str, str], *secrets: str, body: bytes = BODY) -> bool:
    try:
        return verify(body, given, secrets, clock=ManualClock(NOW)) == "msg"
    except InvalidSignature:
        return False


def test_the_official_library_accepts_what_is_signed() -> None:
    at = int(datetime.now(UTC).timestamp())
    given = headers([OTHER, PRIVATE, SECRET], "msg", at, BODY)
    assert standardwebhooks.Webhook(SECRET).verify(BODY, given) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret(Ids())).verify(BODY, given)


def test_what_the_official_library_signs_is_accepted() -> None:
    text = standardwebhooks.Webhook(SECRET).sign(
        "msg", datetime.fromtimestamp(NOW, UTC), BODY.decode()
    )
    assert text == signed(SECRET)[SIGNATURE]


def test_an_example_that_everybody_has() -> None:
    known = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    given = headers([known], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert given == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_ed25519_is_what_others_verify() -> None:
    version, text = signed(PRIVATE)[SIGNATURE].split(",")
    assert version == "v1a"
    raw = b64decode(public_key(PRIVATE).removeprefix("whpk_"))
    key = Ed25519PublicKey.from_public_bytes(raw)
    key.verify(b64decode(text), f"msg.{NOW}.".encode() + BODY)
    with pytest.raises(Unfit):
        key.verify(b64decode(text), f"msg.{NOW + 1}.".encode() + BODY)
    # The private key is followed by its public half, as libsodium has it.
    assert b64decode(PRIVATE.removeprefix("whsk_"))[32:] == raw


def test_any_of_several_secrets_and_signatures_will_do() -> None:
    both = signed(OTHER, SECRET)
    assert is_genuine(both, SECRET)
    assert is_genuine(both, new_secret(Ids()), OTHER)
    assert is_genuine(signed(SECRET, PRIVATE), public_key(PRIVATE))
    assert is_genuine({name.title(): text for name, text in both.items()}, SECRET)


@pytest.mark.parametrize("name", sorted(signed(SECRET)))
def test_each_field_is_needed(name: str) -> None:
    given = signed(SECRET)
    del given[name]
    assert not is_genuine(given, SECRET)


def test_whatever_is_changed_is_noticed() -> None:
    for secret, checks in ((SECRET, SECRET), (PRIVATE, public_key(PRIVATE))):
        given = signed(secret)
        assert is_genuine(given, checks)
        assert not is_genuine(given, checks, body=BODY + b" ")
        assert not is_genuine(given | {"webhook-id": "msg2"}, checks)
        assert not is_genuine(given | {"webhook-timestamp": str(NOW + 1)}, checks)
        for wrong in ("", "v1,", "v1a,", "v1a,!", "v1,é", "v2," + given[SIGNATURE][3:], "v1a,AAAA"):
            assert not is_genuine(given | {SIGNATURE: wrong}, checks)
    assert not is_genuine(signed(SECRET), OTHER)
    assert not is_genuine(signed(SECRET), public_key(PRIVATE))
    assert not is_genuine(signed(SECRET))


def test_what_is_old_or_from_the_future_is_refused() -> None:
    assert is_genuine(signed(SECRET, at=NOW - 300), SECRET)
    assert is_genuine(signed(SECRET, at=NOW + 300), SECRET)
    assert not is_genuine(signed(SECRET, at=NOW - 301), SECRET)
    assert not is_genuine(signed(SECRET, at=NOW + 301), SECRET)
    for wrong in ("", "now", "-1", "1e9", "\u0661\u0667", "9" * 400):
        assert not is_genuine(signed(SECRET) | {"webhook-timestamp": wrong}, SECRET)


@pytest.mark.parametrize(
    "secret",
    ["", "secret", "whsec_", "whsec_!", "whsec_AAAA", "whpk_" + "A" * 43 + "=", "whsk_AA=="],
)
def test_what_cannot_sign_is_refused(secret: str) -> None:
    with pytest.raises(InvalidOption, match="base64"):
        check(secret)
    check(SECRET)
    check(PRIVATE)


def test_however_many_signatures_a_stranger_sends_the_body_is_signed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed: list[str] = []

    def sign(secret: str, _: object) -> str:
        signed.append(secret)
        return "v1,x"

    monkeypatch.setattr(module, "_sign", sign)
    fields = {"webhook-id": "a", "webhook-timestamp": "0", "webhook-signature": " " * 10_000}
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(b"{}", fields, "whsec_", tolerance=float("inf"))
    assert signed == ["whsec_"]
