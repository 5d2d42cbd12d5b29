"""A history whose time is the disk's: how much had been written when something was told."""

from dataclasses import dataclass, field

from tests.faults.history import Event, Type
from tests.faults.recording import Recording


@dataclass
class Moments:
    """Takes the place of a `History` while a disk is recorded.

    Attributes:
        recording: what the disk was asked for.
        events: the history; `time` is the recording's moment.
    """

    recording: Recording
    events: list[Event] = field(default_factory=list)

    def record(self, kind: Type, f: str, value: object = None) -> None:
        """Append one event."""
        moment = self.recording.moment
        self.events.append(Event(time=moment, process=0, type=kind, f=f, value=value))

    def until(self, moment: int) -> list[Event]:
        """Return what had been told by then."""
        return [event for event in self.events if event.time <= moment]
