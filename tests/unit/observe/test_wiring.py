"""A process is observed if its program has set something up, and loads nothing otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{setup}
from headrace import App
from headrace.observe.wiring import wire
app = App("memory:")
wire(app)
print(app.telemetry.tracer is not None, "headrace.observe.opentelemetry" in sys.modules)
"""
SDK = "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider"


@pytest.mark.parametrize(
    ("setup", "printed"),
    [
        ("", "False False"),
        ("import opentelemetry.trace", "False True"),
        (f"{SDK}; trace.set_tracer_provider(TracerProvider())", "True True"),
    ],
)
def test_an_app_is_instrumented_where_a_provider_is_set(setup: str, printed: str) -> None:
    program = PROGRAM.format(setup=setup)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == printed
