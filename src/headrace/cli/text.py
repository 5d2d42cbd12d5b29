"""Text: what comes from data is shown, never obeyed: no control character reaches the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

_TAB = 8


def plain(text: str) -> str:
    r"""Return one line of text in which whatever is not printable is written as `\x1b` is here.

    That covers escape sequences, line ends, invisible and bidirectional marks, and surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def lines(text: str) -> list[str]:
    """Return the lines of a text of many, such as a traceback, each made plain."""
    return [plain(line.expandtabs(_TAB)) for line in text.splitlines()]


def one_line(text: str) -> str:
    """Return a text of many lines as one, made plain."""
    return plain(" ".join(text.split()))


def moment(seconds: float | None) -> str | None:
    """Return a moment, given in seconds since 1970 UTC, as ISO 8601 with milliseconds."""
    if seconds is None:
        return None
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s after 1970"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Return a duration as people read it at a glance, such as `3h`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def size(number: float) -> str:
    """Return a number of bytes as people read it, such as `16.0 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 - what the units say
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
