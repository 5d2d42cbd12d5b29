"""Waterfall: a trace as text: each step of each job's life, where it lies in time, 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.observe.life import Life, Step

WIDTH = 80
_BAR = 30
_TIME = 8
_LABEL = WIDTH - _BAR - _TIME - 2
_SIGNS = {"request": "=", "submit": "=", "wait": ".", "run": "#", "failed": "x"}
_WORDS = {"request": "HTTP request", "submit": "submit", "wait": "wait"}
_MINUTES, _SECONDS, _TENTHS = 600.0, 10.0, 1.0


def draw(lives: Sequence[Life]) -> Iterator[str]:
    """Yield the lines of a waterfall. Their texts are data: whoever prints them makes them plain.

    Args:
        lives: the jobs of a trace, at least one.
    """
    start = min(step.start for life in _all(lives) for step in life.steps)
    end = max(step.end for life in _all(lives) for step in life.steps)
    for life in lives:
        yield from _draw(life, "", start, max(end - start, 1e-6))


def lasting(seconds: float) -> str:
    """Return a duration to three digits or so, such as `12.3ms`."""
    if seconds >= _MINUTES:
        minutes = round(seconds / 60)
        return f"{minutes // 60}h{minutes % 60:02}m"
    if seconds >= _SECONDS:
        return f"{seconds:.1f}s"
    if seconds >= _TENTHS:
        return f"{seconds:.2f}s"
    return f"{seconds * 1000:.1f}ms"


def _all(lives: Sequence[Life]) -> Iterator[Life]:
    for life in lives:
        yield life
        yield from _all(life.children)


def _draw(life: Life, margin: str, start: float, whole: float) -> Iterator[str]:
    record = life.record
    known = f" {record.id} {record.state}"
    task = _cut(record.message.task, max(8, WIDTH - len(margin) - len(known)))
    yield f"{margin}{task}{known}"
    for step in life.steps:
        label = _cut(f"{margin}  {_label(step)}", _LABEL).ljust(_LABEL)
        time = (lasting(step.end - step.start) + ("+" if step.ongoing else "")).rjust(_TIME)
        yield f"{label} {time} {_bar(step, start, whole)}".rstrip()
    for child in life.children:
        yield from _draw(child, margin + "  ", start, whole)


def _label(step: Step) -> str:
    word = _WORDS.get(step.kind) or f"run {step.number}"
    return f"{word}: {step.note}" if step.note else word


def _bar(step: Step, start: float, whole: float) -> str:
    begin = min(_BAR - 1, int((step.start - start) / whole * _BAR))
    length = max(1, round((step.end - start) / whole * _BAR) - begin)
    return " " * begin + _SIGNS[step.kind] * length


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
