"""Doctor: `headrace doctor`: what is there, and what it guarantees, read back from the engine."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import click
import msgspec

from headrace.cli.output import document, fields, say
from headrace.cli.storage import Storage, opened
from headrace.cli.text import plain


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(*, as_json: bool) -> None:
    """Show versions, the settings read back, and what they guarantee."""
    with opened() as storage:
        found = _examine(storage)
    if as_json:
        document(found)
        return
    parts: list[tuple[str, dict[str, Any]]] = [
        ("versions", found["versions"]),
        ("engine", {"name": found["engine"], "location": found["location"], **found["settings"]}),
        ("guarantee", found["guarantee"]),
        ("settings", found["config"]),
        ("capabilities", found["capabilities"]),
    ]
    for number, (name, values) in enumerate(parts):
        click.echo(("\n" if number else "") + click.style(name, bold=True))
        fields(values.items(), indent=2)
    for warning in found["warnings"]:
        say(f"warning: {plain(warning)}")


def _examine(storage: Storage) -> dict[str, Any]:
    config = msgspec.to_builtins(storage.config)
    inspection = storage.ask(storage.engine.inspect())
    return {
        "versions": {
            "headrace": version("headrace"),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "engine": inspection.engine,
        "location": inspection.location,
        "settings": inspection.settings,
        "guarantee": inspection.guarantee,
        "capabilities": msgspec.to_builtins(storage.engine.capabilities),
        "config": {name: value for name, value in config.items() if name != "url"},
        "warnings": list(inspection.warnings),
    }
