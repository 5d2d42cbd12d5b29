"""Config: every setting, merged in one place: keyword > environment > pyproject.toml > default.

The environment says `HEADRACE_CONCURRENCY=50`, with JSON for what is not one value
(`HEADRACE_QUEUES='{"images": {"max_depth": 1000}}'`); the file has a table `[tool.headrace]`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit, urlunsplit

import msgspec

from headrace.errors import ConfigError
from headrace.message import Retention
from headrace.record import QueueLimits

_PREFIX = "HEADRACE_"
_LOOKS_MEANT = 0.8

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an App, and of the workers that run its tasks. Times are seconds.

    Attributes:
        url: where everything is kept: `sqlite:///file`, `sqlite:////absolute/file`, `memory:`,
            `postgresql://user:password@host:port/database?schema=headrace` or `redis://host/0`.
        durability: "power": what was accepted survives a power cut; "crash": it survives the end
            of any process, but a power cut may take the last commits.
        concurrency: coroutines that one worker process runs at a time.
        threads: `def` tasks that one worker process runs at a time.
        children: `process=True` tasks that one worker process runs at a time.
        lease: how long a claim is valid without a heartbeat.
        grace: how long a worker that is told to stop lets runs go on.
        poll: time between looks for jobs, behind the hints.
        max_payload: bytes that the arguments of one job may have.
        max_result: bytes that the result of one job may have.
        deadline: how long one call of the engine may take.
        transaction_limit: how long `ctx.transaction()` may hold the write lock.
        queues: when queues are full, by name.
        retention: how long finished jobs are kept, unless their task says otherwise.
        allow_network_files: use a network file system all the same.
        allow_unsafe_server: use a database server all the same whose settings may lose or damage
            what it has accepted.
        ballast: bytes of disk kept in reserve for ending work when the disk is full.
        allow_volatile_server: use a Redis server that keeps no append-only file all the same.
        log_format: "text": as the program has set up logging; "json": worker processes and
            gateways write JSON lines, with the job and the trace, to the standard error.
        webhook_allow: networks, such as `127.0.0.0/8`, that webhooks may be sent to although they
            are not of the public internet; there http and any port will do.
    """

    url: str = "sqlite:///headrace.db"
    durability: Literal["power", "crash"] = "power"
    concurrency: Count = 100
    threads: Count = 20
    children: Count = os.cpu_count() or 1
    lease: Seconds = 30.0
    grace: Seconds = 30.0
    poll: Seconds = 1.0
    max_payload: Size = 256 * 1024
    max_result: Size = 1024 * 1024
    deadline: Seconds = 30.0
    transaction_limit: Seconds = 1.0
    queues: dict[str, QueueLimits] = {}
    retention: Retention | None = None
    allow_network_files: bool = False
    allow_unsafe_server: bool = False
    ballast: Size = 16 * 1024 * 1024
    allow_volatile_server: bool = False
    log_format: Literal["text", "json"] = "text"
    webhook_allow: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The URL without who we are: what may be shown, and logged."""
        parts = urlsplit(self.url)
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        if "password" in parts.query:
            place = place._replace(query="***")
        return self.url if place == parts else urlunsplit(place)

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["url"] = self.place
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def load(
    given: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Config:
    """Merge the settings.

    Args:
        given: by keyword; these win.
        environment: variables; None means the process's own.
        directory: where a pyproject.toml may be; None means the current directory.

    Raises:
        ConfigError: a name is unknown, or a value is of the wrong kind.
    """
    variables = os.environ if environment is None else environment
    file = (directory or Path()) / "pyproject.toml"
    merged: dict[str, Any] = {}
    for name, value, source in (
        *_from_file(file),
        *_from_environment(variables),
        *((name, value, f"{name}={value!r}") for name, value in given.items()),
    ):
        merged[name] = _checked(name, value, source, from_text=source.startswith(_PREFIX))
    return Config(**merged)


_Setting = tuple[str, Any, str]


def _from_file(file: Path) -> Iterator[_Setting]:
    try:
        with file.open("rb") as text:
            import tomllib  # noqa: PLC0415 - most programs run where there is no such file

            table = tomllib.load(text).get("tool", {}).get("headrace", {})
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [tool.headrace] must be a table")
    for name, value in table.items():
        yield name, value, f"{file}: {name} = {value!r}"


def _from_environment(variables: Mapping[str, str]) -> Iterator[_Setting]:
    known = Config.__struct_fields__
    for variable, text in variables.items():
        if not variable.startswith(_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name in known:
            yield name, text, f"{variable}={text!r}"
        # Others may own such names: Kubernetes sets HEADRACE_PORT for a service "headrace".
        elif close := difflib.get_close_matches(name, known, n=1, cutoff=_LOOKS_MEANT):
            meant = _PREFIX + close[0].upper()
            raise ConfigError(f"{variable} is no setting: did you mean {meant}?")


def _checked(name: str, value: Any, source: str, *, from_text: bool) -> Any:
    kinds = get_type_hints(Config, include_extras=True)
    if name not in kinds:
        close = difflib.get_close_matches(name, kinds, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(kinds)}"
        raise ConfigError(f"{source}: there is no such setting; {hint}")
    structured = name in ("queues", "retention", "webhook_allow")
    try:
        if from_text and structured:
            return msgspec.json.decode(value, type=kinds[name])
        return msgspec.convert(value, kinds[name], strict=not from_text)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = str(error)
        raise ConfigError(f"{source}: {problem[:1].lower()}{problem[1:]}") from None
