"""Where a database is: what a URL says, without secrets in anything that is shown."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from headrace.errors import ConfigError

SCHEMA = "headrace"

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_CONNECT_SECONDS = 5
# A peer that is gone is noticed: one that answers nothing at all within about twenty seconds, and
# one that takes nothing from us within fifteen.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "headrace",
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "target_session_attrs": "read-write",
}


class Address:
    """A database and the schema in it.

    Args:
        url: `postgresql://user:password@host:port/database?schema=headrace&…`; the other parameters
            are libpq's.

    Attributes:
        schema: the schema of Headrace's tables.
        shown: where that is, without secrets.

    Raises:
        ConfigError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        parameters = parse_qsl(parts.query, keep_blank_values=True)
        named = [value for name, value in parameters if name == "schema"]
        self.schema = named[-1] if named else SCHEMA
        if not _NAME.fullmatch(self.schema) or self.schema.startswith("pg_"):
            raise ConfigError(
                f"schema {self.schema!r:.80}: use up to 63 lower-case letters, digits and `_`"
            )
        rest = [(name, value) for name, value in parameters if name != "schema"]
        plain = urlunsplit(parts._replace(query=urlencode(rest, quote_via=quote), fragment=""))
        try:
            given = conninfo_to_dict(plain)
        except psycopg.Error:
            # What libpq says of it may quote the password.
            raise ConfigError(
                "the PostgreSQL URL cannot be read: use postgresql://USER@HOST:PORT/DATABASE, with"
                " special characters of user and password as %XX"
            ) from None
        self._conninfo = make_conninfo(**(_DEFAULTS | given))
        place = f"{given.get('host', 'local')}:{given.get('port', 5432)}"
        self.shown = f"postgresql://{place}/{given.get('dbname', '')}?schema={self.schema}"

    @property
    def conninfo(self) -> str:
        """What libpq is told; holds the password."""
        return self._conninfo

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"
