"""Headrace brings work to the workers: hand a call over now, have it done later, reliably."""

__all__: list[str] = []
