"""What `headrace doctor` prints of a server."""

from __future__ import annotations

import importlib.metadata

from headrace.engine import Inspection
from headrace.engines.redis.address import Address
from headrace.engines.redis.fitness import FORMAT, Facts, look
from headrace.engines.redis.reader import Asker

_FULL_SHARE = 0.9

_GUARANTEES = {
    "always": {
        "accepted job survives a killed process": "yes",
        "accepted job survives a power cut": "yes, if the drive honours flushes",
        "loss window": "none while this server's disk is whole",
    },
    "everysec": {
        "accepted job survives a killed process": "yes; of Redis, but for what a slow disk held",
        "accepted job survives a power cut": "but for the last one to two seconds",
        "loss window": "two seconds",
    },
    "no": {
        "accepted job survives a killed process": "yes, of ours",
        "accepted job survives a power cut": "but for what the system had not written yet",
        "loss window": "about half a minute, as the system decides",
    },
    "": {
        "accepted job survives a killed process": "yes, of ours",
        "accepted job survives a power cut": "unknown: the server does not tell its appendfsync",
        "loss window": "unknown",
    },
    "volatile": {
        "accepted job survives a killed process": "yes, of ours; not a restart of Redis",
        "accepted job survives a power cut": "no",
        "loss window": "everything since the last snapshot, if there is one",
    },
}
_COMMON = {
    "effects in ctx.transaction()": "not supported",
    "delivery": "at least once",
    "order": "by priority, then acceptance; order keys one after another",
    "clock": "the server's wall clock: a step of it lengthens or shortens leases",
}


def inspect(asker: Asker, address: Address) -> Inspection:
    """Read back what holds, instead of believing the configuration."""
    facts = look(asker, address.key)
    driver = importlib.metadata.version("redis")
    return Inspection(
        engine=f"{facts.product} {facts.version} (redis-py {driver})",
        location=str(address),
        settings=_settings(facts, address),
        guarantee=_GUARANTEES[facts.appendfsync if facts.lasting else "volatile"]
        | {"survives the loss of the machine": _loss(facts, address)}
        | _COMMON,
        warnings=tuple(_warnings(facts)),
    )


def _settings(facts: Facts, address: Address) -> dict[str, str]:
    return {
        "appendonly": facts.appendonly,
        "appendfsync": facts.appendfsync or "unknown: CONFIG is forbidden",
        "save": facts.save or "no snapshots, or unknown",
        "maxmemory": f"{facts.maxmemory} bytes" if facts.maxmemory else "no limit",
        "used memory": f"{facts.used} bytes",
        "maxmemory-policy": facts.policy,
        "role": facts.role,
        "replicas": f"{facts.replicas} connected; each commit awaits {address.wait_replicas}",
        "format": f"{facts.format} (this version knows {FORMAT})",
    }


def _loss(facts: Facts, address: Address) -> str:
    if not facts.replicas:
        return "no: there is no replica"
    if address.wait_replicas:
        return f"what {address.wait_replicas} replica(s) have confirmed, if one of those takes over"
    return "all but the newest: replicas follow a little later, and a failover loses the difference"


def _warnings(facts: Facts) -> list[str]:
    warnings: list[str] = []
    if not facts.lasting:
        warnings.append("appendonly is no: a restart of the server loses jobs")
    if not facts.maxmemory:
        warnings.append("maxmemory is not set: a full machine kills the server instead of refusing")
    elif facts.used > _FULL_SHARE * facts.maxmemory:
        warnings.append("the memory is nearly used up: new jobs will soon be refused")
    return warnings
