"""Public: the names that `headrace` offers; it imports them all when somebody uses one."""

from headrace.app import App
from headrace.context import Context
from headrace.errors import (
    DuplicateJob,
    HeadraceError,
    JobCancelled,
    JobDead,
    JobNotFound,
    OutcomeUnknown,
    QueueFull,
    ResultTimeout,
)
from headrace.job import Job
from headrace.message import Retention
from headrace.outcome import Cancel, Dead, Done, Release, Retry, Snooze
from headrace.record import QueueLimits
from headrace.task import Task

__all__ = [
    "App",
    "Cancel",
    "Context",
    "Dead",
    "Done",
    "DuplicateJob",
    "HeadraceError",
    "Job",
    "JobCancelled",
    "JobDead",
    "JobNotFound",
    "OutcomeUnknown",
    "QueueFull",
    "QueueLimits",
    "Release",
    "ResultTimeout",
    "Retention",
    "Retry",
    "Snooze",
    "Task",
]
