"""Document: a JSON text that everybody reads alike, and that is not too much to read.

JSON leaves open what duplicate names, half surrogate pairs and huge numbers mean (RFC 8259 §4, §6,
§8.2), so two programs may see different things in one text. What I-JSON forbids (RFC 7493 §2) is
refused here, before anything else looks at it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from headrace.gateway.problem import Problem, invalid
from headrace.gateway.settings import Settings
from headrace.json_form import MISFITS, describe, pointer

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_HALVES = re.compile("[\ud800-\udfff]")


def read(text: bytes | msgspec.Raw, settings: Settings, times: int = 1) -> Any:
    """Return what a JSON text says.

    Args:
        text: is UTF-8 (RFC 8259 §8.1).
        settings: the limits.
        times: what the limit of members is multiplied by, where a text holds several documents.

    Raises:
        Problem: it is no JSON or too deep (400), has too many members (413), or a text in it is no
            text (422).
    """
    text = bytes(text)
    try:
        value = msgspec.json.decode(text)
    except MISFITS as error:
        raise _misread(text, error, settings) from None
    if text.count(b"[") + text.count(b"{") > settings.max_depth and _is_deep(text, settings):
        raise _too_deep(settings)
    if b":" not in text:
        return value
    members = _members(value)
    if members > settings.max_keys * times:
        detail = f"the body has {members} members; the limit is {settings.max_keys}"
        raise Problem("payload-too-large", detail, limit=settings.max_keys)
    # A colon in a string is looked at only if the plain count does not explain itself.
    if members != text.count(b":") and members != _STRINGS.sub(b"", text).count(b":"):
        raise Problem("malformed-request", f"{_repeated(text)} more than once in one object")
    return value


def canonical(value: object) -> bytes:
    """Return a JSON text that does not depend on the order of members and on white space."""
    return msgspec.json.encode(value, order="deterministic")


def _is_deep(text: bytes, settings: Settings) -> bool:
    """Take away the innermost brackets, level by level: a walk would take ten times as long."""
    brackets = _STRINGS.sub(b"", text).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(settings.max_depth):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _members(value: object) -> int:
    """Count the members of all objects."""
    members = 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if type(part) is dict:
            members += len(part)
            waiting += part.values()
        elif type(part) is list:
            waiting += part
    return members


def _misread(text: bytes, error: Exception, settings: Settings) -> Problem:
    if not _is_utf_8(text):
        return Problem("malformed-request", "the body is not UTF-8")
    if isinstance(error, RecursionError):
        return _too_deep(settings)
    if _has_half(text):
        return invalid([("", "a text contains half of a surrogate pair, which is no character")])
    if isinstance(error, msgspec.ValidationError):
        place = pointer(error)
        detail = f"a number cannot be represented: {describe(error)}"
        return Problem(
            "malformed-request", detail, errors=[{"pointer": place, "detail": describe(error)}]
        )
    if not text.strip():
        return Problem("malformed-request", "the body is empty; send a JSON object, such as {}")
    what = str(error).removeprefix("JSON is malformed: ")
    return Problem("malformed-request", f"the body is no JSON: {what}")


def _too_deep(settings: Settings) -> Problem:
    detail = f"the body is nested too deeply; the limit is {settings.max_depth} levels"
    return Problem("malformed-request", detail, limit=settings.max_depth)


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_half(text: bytes) -> bool:
    try:
        return bool(_HALVES.search(json.dumps(json.loads(text), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return False


def _repeated(text: bytes) -> str:
    """Name the member that an object has twice: slowly, since it is an error anyway."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in () if found else pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    json.loads(text, object_pairs_hook=look)
    return f"{found[0]!r:.100} is there" if found else "a member is there"
