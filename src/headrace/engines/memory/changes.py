"""What one commit did, so that it can be undone, and whom it concerns."""

from __future__ import annotations

from collections.abc import Callable

from headrace.engine import Topic

Undo = Callable[[], object]


class Changes:
    """The undo steps of the commit under way, and the hints to give once it stands."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []
        self._topics: set[Topic] = set()

    def note(self, undo: Undo, topic: Topic | None = None) -> None:
        """Remember how to undo a change, and who may care about it."""
        self._undo.append(undo)
        if topic is not None:
            self._topics.add(topic)

    def rollback(self) -> None:
        """Undo everything since the last `keep`, last change first."""
        # The steps note changes of their own while they run: those are part of the undoing.
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            step()
        self._undo.clear()

    def keep(self) -> None:
        """Let everything stand."""
        self._undo.clear()

    def take_topics(self) -> set[Topic]:
        """Return what changed since this was last asked."""
        topics, self._topics = self._topics, set()
        return topics
