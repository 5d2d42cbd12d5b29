"""Codec: arguments and results as JSON, typed by the function's own annotations.

A body is a JSON object by parameter name, so that people and other languages can read it. An
argument that was not given is not in it: the default of the code that runs the job applies.
Nothing is ever unpickled, or imported because data says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from types import GenericAlias, UnionType
from typing import Any, Never, NoReturn, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from headrace.errors import InvalidArguments, InvalidOption
from headrace.json_form import MISFITS, JsonForm, describe, pointer
from headrace.outcome import Outcome

_OUTCOMES = frozenset(get_args(Outcome))
_VARIADIC = _VAR_POSITIONAL, _VAR_KEYWORD = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)
_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Parameters:
    """How the arguments of one function become a body, and a body becomes arguments.

    Args:
        function: what the arguments are for.
        task: the task's name, for messages.
        injected: a class; the parameter annotated with it is not part of the body.

    Attributes:
        injected: the name of that parameter, or None.

    Raises:
        InvalidOption: an annotation cannot be resolved, or has no JSON form.
    """

    def __init__(
        self, function: Callable[..., Any], task: str, injected: type | None = None
    ) -> None:
        hints = _hints(function, task)
        signature = inspect.signature(function)
        self._task = task
        parameters = list(signature.parameters.values())
        self.injected = _injected(parameters, hints, injected, task)
        given = [p for p in parameters if p.name != self.injected]
        self._signature = signature.replace(
            parameters=given, return_annotation=inspect.Signature.empty
        )
        types = {p.name: _type_of(p, hints) for p in given}
        self._forms = {
            name: JsonForm(kind, f"task {task!r}, parameter {name!r}")
            for name, kind in types.items()
        }
        self._struct = _struct_of(given, types, task)
        self._form = JsonForm(self._struct, f"task {task!r}")
        # Most functions are so simple that the struct itself checks and places the arguments.
        self._simple = all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in given)
        self._in_order = all(
            p.kind is p.POSITIONAL_OR_KEYWORD and (p.default is p.empty or p.name == self.injected)
            for p in parameters
        )
        self._order = [(p.name, p.kind) for p in parameters]
        self._place = list(signature.parameters).index(self.injected) if self.injected else None

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Return arguments as a body, after reading it as a worker will.

        Raises:
            InvalidArguments: they do not fit; the message names the task and the parameter.
        """
        try:
            if self._simple:
                return self._form.encode(self._struct(*args, **kwargs))
            bound = self._signature.bind(*args, **kwargs)
            return self._form.encode(self._struct(**bound.arguments))
        except MISFITS as error:
            raise InvalidArguments(self._explain(error, args, kwargs)) from None

    def decode(self, body: msgspec.Raw | bytes, injected: object = None) -> Arguments:
        """Return the positional and the keyword arguments to call the function with.

        Args:
            body: what `encode` made, perhaps in another version of the program.
            injected: the value of the parameter that is not in the body.

        Raises:
            InvalidArguments: the body does not fit the parameters of this function.
        """
        arguments = self._read(body)
        if not self._in_order:
            return self._arrange(arguments, injected)
        values = astuple(arguments)
        if self._place is None:
            return values, {}
        return (*values[: self._place], injected, *values[self._place :]), {}

    def check(self, body: msgspec.Raw | bytes) -> None:
        """Refuse a body that does not fit.

        Raises:
            InvalidArguments: it does not; the message names the parameter.
        """
        self._read(body)

    def _read(self, body: msgspec.Raw | bytes) -> Any:
        try:
            return self._form.decode(body)
        except MISFITS as error:
            message = f"{self._task}: {describe(error)}"
            raise InvalidArguments(message, pointer(error)) from None

    def _arrange(self, arguments: msgspec.Struct, injected: object) -> Arguments:
        """Give by name what comes after an argument that is not there."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_name = False
        for name, kind in self._order:
            value: Any = injected if name == self.injected else getattr(arguments, name)
            if value is UNSET:
                by_name = True
            elif kind is _VAR_KEYWORD:
                kwargs.update(value)
            elif kind is _VAR_POSITIONAL:
                args.extend(value)
            elif by_name or kind is _KEYWORD_ONLY:
                kwargs[name] = value
            else:
                args.append(value)
        return tuple(args), kwargs

    def _explain(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Find the argument at fault: slowly, since it is an error anyway."""
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError as misfit:
            return f"{self._task}{self._signature}: {misfit}"
        for name, value in arguments.items():
            try:
                self._forms[name].encode(value)
            except MISFITS as misfit:
                return f"{self._task}: parameter {name!r}: {describe(misfit)}"
        return f"{self._task}: {describe(error)}"


class Returns:
    """How the results of one function become JSON, and JSON becomes results again.

    Outcomes in the annotation (`-> str | Snooze`) are not results and do not count.

    Args:
        function: what gives the results.
        task: the task's name, for messages.

    Raises:
        InvalidOption: the annotation cannot be resolved, or has no JSON form.
    """

    def __init__(self, function: Callable[..., Any], task: str) -> None:
        kind = _without_outcomes(_hints(function, task).get("return", Any))
        self._task = task
        self._form = JsonForm(kind, f"task {task!r}, returned value")

    def encode(self, value: object) -> bytes:
        """Return a result as JSON.

        Raises:
            ValueError: it is not what the function's annotation promises, or has no JSON form.
        """
        try:
            return self._form.encode(value)
        except MISFITS as error:
            raise ValueError(f"{self._task}: the result: {describe(error)}") from None

    def decode(self, result: msgspec.Raw | bytes) -> Any:
        """Return the result, as the annotation types it.

        Raises:
            ValueError: it does not fit; another version of the function returned it.
        """
        try:
            return self._form.decode(result)
        except MISFITS as error:
            raise ValueError(f"{self._task}: the stored result: {describe(error)}") from None


def _hints(function: Callable[..., Any], task: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        raise InvalidOption(
            f"task {task!r}: its annotations cannot be resolved ({error});"
            " use names that its module imports or defines above it"
        ) from error


def _injected(
    parameters: list[inspect.Parameter],
    hints: Mapping[str, Any],
    injected: type | None,
    task: str,
) -> str | None:
    if injected is None:
        return None
    names = [p.name for p in parameters if hints.get(p.name) is injected]
    if len(names) > 1:
        raise InvalidOption(f"task {task!r}: one {injected.__name__} is enough, not {len(names)}")
    return names[0] if names else None


def _type_of(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    kind = hints.get(parameter.name, Any)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return GenericAlias(tuple, (kind, ...))
    if parameter.kind is parameter.VAR_KEYWORD:
        return GenericAlias(dict, (str, kind))
    return kind


def _struct_of(
    given: list[inspect.Parameter], types: Mapping[str, Any], task: str
) -> type[msgspec.Struct]:
    """Make a struct whose constructor takes, in C, what the function takes."""
    bound_anyway = not all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in given)
    bases: tuple[type[msgspec.Struct], ...] = (msgspec.Struct,)
    try:
        for by_name in (False, True):
            part = [p for p in given if (p.kind is p.KEYWORD_ONLY or bound_anyway) is by_name]
            fields = [
                (p.name, types[p.name]) if _is_required(p) else (p.name, types[p.name], UNSET)
                for p in part
            ]
            struct = msgspec.defstruct(
                "Arguments", fields, bases=bases, kw_only=by_name, forbid_unknown_fields=True
            )
            bases = (struct,)
    except (TypeError, ValueError, RuntimeError) as error:
        names = ", ".join(types)
        message = f"task {task!r}: rename one of the parameters {names}: {error}"
        raise InvalidOption(message) from error
    return struct


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in _VARIADIC


def _without_outcomes(kind: Any) -> Any:
    """Leave out of a return annotation what is not a result."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    results = [m for m in members if m not in _OUTCOMES and m not in (Never, NoReturn)]
    return reduce(or_, results) if results else Any
