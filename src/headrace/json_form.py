"""The JSON form of a type: what msgspec gives, and what it needs to be told.

Dataclasses, msgspec structs, named tuples, typed dicts, enums, `datetime`, `UUID`, `Decimal`,
`bytes` (base64) and containers of them come from msgspec. Added here: paths, and pydantic models,
which are recognised by their methods so that pydantic need not be installed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import inspect as types

from headrace.errors import InvalidOption

NESTING_LIMIT = 200
"""Levels of lists and objects: well below the recursion limit of whoever reads them."""

_ANYTHING = {"description": "Anything."}  # an empty schema would count as none

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]')
_AT = re.compile(r"(?P<problem>.*) - at `(?P<place>.*)`", re.DOTALL)
_PLACE = re.compile(r"`\$(?P<steps>[^`]*)`")
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.(?P<name>[^.[]+)|\[(?P<index>\d+)\]|(?P<unknown>\[\.\.\.\])")

MISFITS = (TypeError, ValueError, RecursionError)
"""What making and reading JSON raises for values that have no such form."""


def writable(text: str) -> str:
    """Replace what has no form in JSON: lone surrogates, as in file names that are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


class JsonForm:
    """Writes values of one type as JSON and reads them back.

    Args:
        kind: the type, as an annotation says it.
        where: what is annotated, for the message.

    Raises:
        InvalidOption: the type has no JSON form.
    """

    def __init__(self, kind: Any, where: str) -> None:
        nodes = list(_nodes(_type_info(kind, where), where))
        self._read = msgspec.json.Decoder(kind, dec_hook=_from_json).decode
        self._lenient = _is_lenient(nodes)

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON, after reading it back as whoever receives it will.

        Raises:
            TypeError, ValueError, RecursionError: it does not fit the type, or has no JSON form.
        """
        text = _write(value)
        try:
            self._read(text)
        except msgspec.ValidationError:
            _refuse_nan(value)
            raise
        if self._lenient:
            _check_lenient(text, value)
        return text

    def decode(self, text: msgspec.Raw | bytes) -> Any:
        """Return the value that JSON stands for.

        Raises:
            TypeError, ValueError, RecursionError: it does not fit the type.
        """
        return self._read(text)


def check_nesting(text: bytes) -> None:
    """Refuse JSON that is nested more deeply than everybody who reads it can follow.

    Raises:
        ValueError: it is.
    """
    if len(text) > 2 * NESTING_LIMIT and _nesting(text) > NESTING_LIMIT:
        raise ValueError(f"it is nested more than {NESTING_LIMIT} levels deep")


def describe(error: Exception) -> str:
    """Return what was wrong as a part of a sentence, naming the place inside the value."""
    if isinstance(error, RecursionError):
        return "it contains itself, or is nested too deeply"
    text = str(error)
    if isinstance(error, UnicodeEncodeError):
        text = "a text contains half of a surrogate pair, which UTF-8 cannot carry"
    if found := _AT.fullmatch(text):
        place = found["place"].removeprefix("$")
        text = found["problem"] + (f" at {place}" if place else "")
    return text[:1].lower() + text[1:]


def pointer(error: Exception) -> str:
    """Return where in a JSON text it does not fit, as a JSON Pointer (RFC 6901).

    A field that is missing is pointed to as if it were there. Which member of a mapping is at fault
    is not known; the pointer then ends at the mapping.
    """
    text = str(error)
    steps: list[str] = []
    if place := _PLACE.search(text):
        for step in _STEP.finditer(place["steps"]):
            if step["unknown"]:
                return _joined(steps)
            steps.append(step["name"] or step["index"])
    if field := _FIELD.match(text):
        steps.append(field["name"])
    return _joined(steps)


def _joined(steps: list[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def schemas(
    kinds: Iterable[Any], place: str = "#/components/schemas/"
) -> tuple[tuple[dict[str, Any], ...], dict[str, dict[str, Any]]]:
    """Return JSON Schemas (2020-12) of types, and of the types with a name that they refer to.

    A type that JSON Schema cannot tell of, such as a struct whose default is a path, is anything.

    Args:
        kinds: as annotations say them.
        place: what a reference begins with.
    """
    models: dict[str, dict[str, Any]] = {}

    def describe_custom(kind: Any) -> dict[str, Any]:
        if kind is object:
            return _ANYTHING
        if issubclass(kind, PurePath):
            return {"type": "string"}
        schema: dict[str, Any] = kind.model_json_schema(ref_template=place + "{model}")
        models.update(schema.pop("$defs", {}))
        return schema

    told = [kind if _is_describable(kind, describe_custom) else object for kind in kinds]
    described, named = msgspec.json.schema_components(
        told, schema_hook=describe_custom, ref_template=place + "{name}"
    )
    return described, models | named


def _is_describable(kind: Any, hook: Callable[[Any], dict[str, Any]]) -> bool:
    try:
        msgspec.json.schema(kind, schema_hook=hook)
    except TypeError:
        return False
    return True


# Types --------------------------------------------------------------------------------------------


def _type_info(kind: Any, where: str) -> types.Type:
    try:
        return types.type_info(kind)
    except (TypeError, ValueError, RuntimeError, NameError) as error:
        raise InvalidOption(f"{where}: {_one_line(error)}") from error


def _nodes(info: types.Type, where: str) -> Iterator[types.Type | None]:
    """Yield the type and all that it contains; None stands for a type that contains itself."""
    waiting: list[tuple[Any, tuple[int, ...]]] = [(info, ())]
    seen: set[int] = set()
    while waiting:
        node, above = waiting.pop()
        if id(node) in seen:
            if id(node) in above:
                yield None
            continue
        seen.add(id(node))
        if isinstance(node, types.CustomType):
            _check_custom(node.cls, where)
        if isinstance(node, types.Type):
            yield node
        if isinstance(node, types.Type | types.Field):
            inside = (getattr(node, name) for name in node.__struct_fields__)
            waiting.extend((part, (*above, id(node))) for part in inside)
        elif isinstance(node, tuple):
            waiting.extend((part, above) for part in node)


def _check_custom(cls: type, where: str) -> None:
    if cls is object or issubclass(cls, PurePath) or _is_pydantic(cls):
        return
    raise InvalidOption(
        f"{where}: {cls.__name__} has no JSON form; use plain values, a dataclass, a msgspec.Struct"
        " or a pydantic model"
    )


def _is_lenient(nodes: list[types.Type | None]) -> bool:
    """Return whether reading back may overlook a NaN (written as null) or a deep nesting."""
    if any(isinstance(n, types.AnyType | types.CustomType | types.RawType | None) for n in nodes):
        return True
    found = {type(node) for node in nodes}
    return types.FloatType in found and types.NoneType in found


def _is_pydantic(cls: type) -> bool:
    return hasattr(cls, "model_validate_json") and hasattr(cls, "model_dump")


# Values -------------------------------------------------------------------------------------------


def _to_json(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _from_json(kind: Any, value: Any) -> Any:
    if kind is object:
        return value
    if issubclass(kind, PurePath):
        if not isinstance(value, str):
            raise TypeError(f"Expected a path as text, got {type(value).__name__}")
        return kind(value)
    try:
        # As JSON, because a strict model takes a date as text from there only.
        return kind.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_one_line(error)) from error


_write = msgspec.json.Encoder(enc_hook=_to_json).encode


def _check_lenient(text: bytes, value: object) -> None:
    if text.find(b"null") >= 0:
        _refuse_nan(value)
    check_nesting(text)


def _refuse_nan(value: object) -> None:
    waiting: list[Any] = [msgspec.to_builtins(value, enc_hook=_to_json)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError(f"{part} has no JSON form; use None or a text")
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def _nesting(text: bytes) -> int:
    if text.count(b"[") + text.count(b"{") <= NESTING_LIMIT:
        return 0
    level = deepest = 0
    for token in _TOKENS.finditer(text):
        if token[0] in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif token[0] in b"]}":
            level -= 1
    return deepest


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
