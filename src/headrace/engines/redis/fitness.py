"""What is read back of a server when it is opened, and what makes it unfit."""

from __future__ import annotations

import msgspec

from headrace.engines.redis.link import field
from headrace.engines.redis.reader import Asker
from headrace.errors import EngineError, StorageCorrupt, StorageUnfit

FORMAT = 1
"""The number of the way in which keys are laid out; a newer one is not touched."""

_OLDEST = (7, 0)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of itself; "" is what it would not tell.

    Attributes:
        product: Redis or Valkey.
        version: its version.
        mode: "standalone", "sentinel" or "cluster".
        role: "master" or "slave".
        replicas: how many are connected.
        appendonly: "yes" or "no".
        appendfsync: "always", "everysec" or "no".
        save: when snapshots are taken.
        policy: what is evicted when the memory is used up.
        maxmemory: bytes it may use; 0: all there are.
        used: bytes it uses.
        format: the number of the layout of our keys; 0 if there are none.
    """

    product: str
    version: str
    mode: str
    role: str
    replicas: int
    appendonly: str
    appendfsync: str
    save: str
    policy: str
    maxmemory: int
    used: int
    format: int

    @property
    def lasting(self) -> bool:
        """Whether what is written is on disk soon after, and not only in a snapshot."""
        return self.appendonly == "yes"


def look(asker: Asker, key: str) -> Facts:
    """Return what the server says of itself."""
    info: bytes = asker.call(("INFO",))
    valkey = field(info, "valkey_version")
    return Facts(
        product="Valkey" if valkey else "Redis",
        version=valkey or field(info, "redis_version"),
        mode=field(info, "redis_mode") or field(info, "server_mode"),
        role=field(info, "role"),
        replicas=int(field(info, "connected_slaves") or 0),
        appendonly="yes" if field(info, "aof_enabled") == "1" else "no",
        appendfsync=_setting(asker, "appendfsync"),
        save=_setting(asker, "save"),
        policy=field(info, "maxmemory_policy"),
        maxmemory=int(field(info, "maxmemory") or 0),
        used=int(field(info, "used_memory") or 0),
        format=_format(asker, key),
    )


def _setting(asker: Asker, name: str) -> str:
    try:
        answer = asker.call(("CONFIG", "GET", name))
    except EngineError:
        return ""  # hosted servers often forbid it
    return answer[1].decode() if len(answer) > 1 else ""


def _format(asker: Asker, key: str) -> int:
    place = f"{key}:meta"
    try:
        return int(asker.call(("HGET", place, "format")) or 0)
    except (EngineError, ValueError) as error:
        raise StorageCorrupt(
            f"{place} is there, and is not Headrace's ({error}): nothing was changed; use another"
            " database or ?prefix="
        ) from error


def mark(asker: Asker, key: str, facts: Facts) -> None:
    """Note the format of the keys to come, unless it is noted already."""
    if not facts.format:  # only then: a full server that knows us must let us in
        asker.call(("HSETNX", f"{key}:meta", "format", FORMAT))


def check(facts: Facts, where: str, *, allow_volatile: bool) -> None:
    """Refuse a server that cannot keep the promises.

    Raises:
        StorageUnfit: what is the matter, and what to do about it.
    """
    numbers = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        raise StorageUnfit(f"{where} runs {facts.product} {facts.version}: use 7.0 or newer")
    if facts.mode == "cluster":
        raise StorageUnfit(f"{where} is a cluster, which is not supported: use a single server")
    if facts.role == "slave":
        raise StorageUnfit(f"{where} is a replica, which takes no writes: name the primary")
    if facts.format > FORMAT:
        raise StorageUnfit(
            f"{where} has keys of format {facts.format}, and this version of Headrace knows"
            f" {FORMAT}: upgrade Headrace; nothing was changed"
        )
    if facts.policy not in ("noeviction", ""):
        raise StorageUnfit(
            f"{where} has maxmemory-policy {facts.policy}, which drops jobs when the memory is used"
            " up: set it to noeviction"
        )
    if not facts.lasting and not allow_volatile:
        raise StorageUnfit(
            f"{where} has appendonly no: a restart loses what was accepted since the last snapshot,"
            " if there is one; set appendonly to yes, or allow_volatile_server=True if that is"
            " what you want"
        )
