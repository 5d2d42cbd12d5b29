"""Gate: how many deliveries to one receiver go on at a time, so that no receiver blocks another."""

from __future__ import annotations

_USUAL_SECONDS = 0.05
_WEIGHT = 0.2
_MOST_GATES = 1000


class Gate:
    """Lets some deliveries through, and tells each of the others a time of its own to come back.

    All moments are seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self._begun: list[float] = []
        self._usual = _USUAL_SECONDS
        self._next = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing goes on."""
        return not self._begun

    def enter(self, now: float, concurrency: int) -> float:
        """Begin a delivery if there is room.

        Args:
            now: the moment.
            concurrency: how many may go on at a time.

        Returns:
            0 if it has begun; else the seconds after which there is likely to be room.
        """
        if len(self._begun) < concurrency:
            self._begun.append(now)
            return 0.0
        # One that hangs tells how long they take before it ends.
        each = max(self._usual, now - self._begun[0])
        return self.later(now, each / concurrency)

    def later(self, now: float, interval: float) -> float:
        """Return the seconds after which one more may come, if they come at intervals."""
        self._next = max(self._next, now) + interval
        return self._next - now

    def leave(self, began: float, now: float) -> None:
        """End a delivery."""
        self._begun.remove(began)
        self._usual += _WEIGHT * (now - began - self._usual)


class Gates:
    """The gates of one process, by receiver."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def of(self, receiver: str) -> Gate:
        """Return the gate of a receiver."""
        if len(self._gates) >= _MOST_GATES and receiver not in self._gates:
            self._gates = {name: gate for name, gate in self._gates.items() if not gate.idle}
        return self._gates.setdefault(receiver, Gate())
