"""Prefer: how a client would like to be answered (RFC 7240)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_PREFERENCE = re.compile(
    r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?([^,"]|"[^"]*")*'
)
_SECONDS = re.compile(r'"?(\d{1,9})"?')


class Preferences(msgspec.Struct, frozen=True):
    """What is understood of a client's preferences; all others are ignored (RFC 7240 §2).

    Attributes:
        wait: seconds that an answer may take so that it is final (§4.3); None: not said.
        respond_async: an answer at once is welcome (§4.1).
    """

    wait: int | None = None
    respond_async: bool = False


NONE = Preferences()


def preferences(fields: Iterable[str]) -> Preferences:
    """Return the preferences in `Prefer` fields; of those given twice, the first counts."""
    found: dict[str, str] = {}
    for field in fields:
        for preference in _PREFERENCE.finditer(field):
            found.setdefault(preference[1].lower(), preference[2] or "")
    seconds = _SECONDS.fullmatch(found.get("wait", ""))
    return Preferences(int(seconds[1]) if seconds else None, "respond-async" in found)
