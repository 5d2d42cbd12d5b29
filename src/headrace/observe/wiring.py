"""Wiring: lets a process be observed by what its program has set up, and pays nothing otherwise."""

from __future__ import annotations

import sys

from headrace.app import App


def wire(app: App) -> None:
    """Instrument an App if the program has set an OpenTelemetry provider.

    Who sets one has imported `opentelemetry` before, so nothing is imported where nobody did.

    Args:
        app: the App, before its worker or gateway starts.
    """
    if "opentelemetry.trace" not in sys.modules and "opentelemetry.metrics" not in sys.modules:
        return
    from headrace.observe.opentelemetry import instrument, is_set  # noqa: PLC0415 - as above

    if is_set():
        instrument(app)
