"""The gateway: the HTTP face. It hands work over, answers 202, and tells whoever asks."""

from headrace.gateway.caller import Caller
from headrace.gateway.gateway import Gateway
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings

__all__ = ["Caller", "Gateway", "Problem", "Settings"]
