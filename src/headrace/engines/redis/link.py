"""One connection to the server: made when it is needed, and anew when it broke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.connection import Connection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from headrace.engines.redis.address import Address
from headrace.engines.redis.scripts import SCRIPTS
from headrace.errors import HeadraceError

Call = tuple[bytes | str | int | float, ...]


class Away(HeadraceError):
    """The server did not answer.

    Attributes:
        sent: whether it may have got what it was asked.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Link:
    """A connection that belongs to one thread.

    Args:
        address: where the server is.
        timeout: seconds to wait for an answer before the connection is taken for dead.

    Attributes:
        run: names this start of the server; another one may have lost the latest writes.
    """

    def __init__(self, address: Address, timeout: float = 5.0) -> None:
        self.run = ""
        self._address = address
        self._pool = address.pool(timeout)
        self._connection: Connection | None = None

    def connect(self) -> Connection:
        """Connect, unless it is connected, and return the connection.

        Raises:
            Away: there is no server, or not yet.
        """
        if self._connection is not None:
            return self._connection
        try:
            connection = self._connection = self._pool.get_connection()
            (info,) = _exchange(connection, [("INFO", "server")])
            if isinstance(info, Exception):
                raise info
            self.run = field(info, "run_id")
            _load_scripts(connection)
        except (RedisError, OSError) as error:
            self.close()
            raise Away(f"no answer from {self._address}: {error}", sent=False) from error
        return connection

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls together and return their answers, errors among them.

        Raises:
            Away: the connection broke before all answers were there.
        """
        connection = self.connect()
        try:
            answers = _exchange(connection, calls)
            unknown = [at for at, a in enumerate(answers) if isinstance(a, NoScriptError)]
            if unknown:  # somebody flushed them
                _load_scripts(connection)
                again = _exchange(connection, [calls[at] for at in unknown])
                for at, answer in zip(unknown, again, strict=True):
                    answers[at] = answer
        except (RedisError, OSError) as error:
            self.close()
            raise Away(f"{self._address} went away: {error}", sent=True) from error
        return answers

    def close(self) -> None:
        """Let go of the connection; the next call makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)


def _load_scripts(connection: Connection) -> None:
    loads: list[Call] = [("SCRIPT", "LOAD", script.text) for script in SCRIPTS]
    for answer in _exchange(connection, loads):
        if isinstance(answer, Exception):
            raise answer


def _exchange(connection: Connection, calls: Sequence[Call]) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(calls))
    return [_answer(connection) for _ in calls]


def _answer(connection: Connection) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def field(info: bytes, name: str) -> str:
    """Return a field of what INFO answers; "" if it is not there."""
    for line in info.decode(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""
