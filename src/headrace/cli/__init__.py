"""The command line: `headrace`."""

from headrace.cli.main import main

__all__ = ["main"]
