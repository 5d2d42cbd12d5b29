"""Draft: a job as a client wants it, checked, and not yet accepted."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from headrace.app import App
from headrace.errors import BlockedDestination, InvalidArguments, UnknownTask
from headrace.gateway.caller import Caller
from headrace.gateway.desk import permit
from headrace.gateway.handover.options import NAMES, Misfit, Wish, Wishes, applied, explain
from headrace.gateway.problem import invalid
from headrace.json_form import pointer
from headrace.message import Message
from headrace.options import Options
from headrace.registry import AnyTask
from headrace.task import Call
from headrace.webhooks import Webhooks

_SUBMIT = "jobs:submit"


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends to `/v1/jobs`.

    Attributes:
        task: the task's name.
        arguments: a JSON object by parameter name.
        options: when, where and how.
    """

    task: str
    arguments: Raw = Raw(b"{}")
    options: Wishes | UnsetType = UNSET


_NAMES = (*Order.__struct_fields__, *NAMES, *Wish.__struct_fields__)
_ORDER = msgspec.json.Decoder(Order)


class Draft(msgspec.Struct, frozen=True):
    """A job to be.

    Attributes:
        call: the task and its arguments.
        options: how it is run; None: as the task declares.
        caller: who wants it.
    """

    call: Call[Any]
    options: Options | None
    caller: Caller

    def message(self, job_id: str) -> Message:
        """Return the job's envelope."""
        task = self.call.task
        if self.options is None:
            message = self.call.message(job_id)
        else:
            envelope = self.options.envelope(task.name, task.declared)
            message = structs.replace(envelope, id=job_id, body=Raw(self.call.body))
        if self.caller.tenant is None:
            return message
        return structs.replace(message, tags=(*message.tags, self.caller.tag))


def chosen(task: AnyTask, wishes: Wishes | None, caller: Caller, app: App) -> Options | None:
    """Return the options of a call, if they are not those of its task.

    Raises:
        Misfit: one of them makes no sense.
        Problem: the caller may not use the queue (403).
    """
    options = None
    declared = task.options
    if wishes is None and caller.tenant and (declared.unique_key or declared.order_key):
        wishes = Wishes()  # such keys are its tenant's own
    if wishes is not None:
        options = applied(task.options, _sendable(wishes, app), caller, app.clock.now())
    if caller.queues:
        permit(caller, _SUBMIT, (options or task.options).queue)
    return options


def _sendable(wishes: Wishes, app: App) -> Wishes:
    """Return wishes whose callback, if there is one, is a URL that webhooks may be sent to."""
    if wishes.callback is UNSET:
        return wishes
    try:
        (url,) = Webhooks(app).callback(wishes.callback).values()
    except BlockedDestination as error:
        raise Misfit("callback", str(error)) from None
    return structs.replace(wishes, callback=url)


def called(task: AnyTask, arguments: bytes | Raw, place: str = "") -> Call[Any]:
    """Return a call of a task.

    Args:
        task: the task.
        arguments: a JSON object by parameter name.
        place: where they are in the body, as a JSON Pointer.

    Raises:
        Problem: they do not fit (422).
        PayloadTooLarge: they are over the limit.
    """
    try:
        return task.call_json(arguments)
    except InvalidArguments as error:
        raise invalid([(place + error.pointer, str(error))]) from None


def ordered(app: App, text: bytes | Raw, caller: Caller, place: str = "") -> Draft:
    """Return what a client orders with one JSON object.

    Args:
        app: has the tasks.
        text: the object.
        caller: the client.
        place: where the object is in the body, as a JSON Pointer.

    Raises:
        Problem: it does not fit (422), or the caller may not do this (403).
        PayloadTooLarge: the arguments are over the limit.
    """
    try:
        order = _ORDER.decode(text)
        task = app.registry.get(order.task)
        wishes = None if order.options is UNSET else order.options
        options = chosen(task, wishes, caller, app)
    except msgspec.ValidationError as error:
        raise invalid([(place + pointer(error), explain(error, _NAMES))]) from None
    except UnknownTask as error:
        raise invalid([(f"{place}/task", str(error))], "unknown-task") from None
    except Misfit as error:
        raise invalid([(error.pointer(f"{place}/options"), error.detail)]) from None
    return Draft(called(task, order.arguments, f"{place}/arguments"), options, caller)
