"""The server's errors become ours."""

from __future__ import annotations

import pytest
from redis.exceptions import (
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from headrace.engines.redis.trouble import trouble
from headrace.errors import EngineBusy, EngineError, StorageFull


@pytest.mark.parametrize(
    ("error", "kind", "passing"),
    [
        (OutOfMemoryError("command not allowed when used"), StorageFull, False),
        (ResponseError("OOM allow-oom flag is not set on the script"), StorageFull, False),
        (ResponseError("MISCONF unable to persist to disk"), StorageFull, False),
        (ReadOnlyError("You can't write against a read only replica."), EngineBusy, True),
        (ResponseError("BUSY Redis is busy running a script."), EngineBusy, True),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), EngineBusy, True),
        (NoPermissionError("this user has no permissions"), EngineError, False),
        (ResponseError("WRONGTYPE Operation against a key"), EngineError, False),
    ],
)  # fmt: skip
def test_each_error_has_its_meaning(error: RedisError, kind: type, *, passing: bool) -> None:
    told = trouble(error)
    assert type(told.error) is kind
    assert told.passing is passing
    assert str(error) in str(told.error)
