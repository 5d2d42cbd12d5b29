"""Headrace brings work to the workers: hand a call over now, have it done later, reliably."""

import sys

# Nothing is imported before somebody uses it (PEP 562): a program that only might use Headrace
# does not wait for it, and the command line heeds signals before it imports the rest.
TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all that is here
if TYPE_CHECKING:
    from headrace.public import *  # noqa: F403 - they are listed there
    from headrace.public import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Import what is public, at the first use of any of it."""
        import headrace.public  # noqa: F401, PLC0415 - only now: that is the point

        public = sys.modules["headrace.public"]  # an attribute of ours only when it is complete
        globals().update({each: getattr(public, each) for each in ("__all__", *public.__all__)})
        try:
            return globals()[name]  # which has our modules now as well
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        """Name what is public, for those who explore."""
        return sorted({*globals(), *__getattr__("__all__")})
