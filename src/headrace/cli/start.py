"""Start: what the program `headrace` begins with, before anything takes long to import."""

from headrace.signals import hold


def main() -> None:
    """Run the command line; a signal that comes before it can be heeded waits for that."""
    hold()
    from headrace.cli.main import main as program  # noqa: PLC0415 - this is what takes long

    program()
