"""Target: where a program's App is, as a command line says it: `module:attr` or `file.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from headrace.app import App
from headrace.errors import ConfigError


def load(target: str) -> App:
    """Import the program and return its App.

    Args:
        target: `module:attr`, `module`, `path/file.py` or `path/file.py:attr`. Without an
            attribute, the program has to have exactly one App.

    Raises:
        ConfigError: there is no such program, or it has no such App. What the program itself raises
            while it is imported passes through.
    """
    place, _, attribute = target.partition(":")
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    return _named(module, attribute, target) if attribute else _only(module, target)


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; name a Python file or `module:attr`")
    _see(path.resolve().parent)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Known by its name before it runs, as an import does it: dataclasses and typing look there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    _see(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the program is there, but something that it imports is not
        raise ConfigError(
            f"there is no module {name!r} here or among what is installed; is {Path.cwd()} the"
            " directory to start from?"
        ) from None


def _see(directory: Path) -> None:
    """Let the program import its neighbours, as `python file.py` does."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _named(module: ModuleType, attribute: str, target: str) -> App:
    found = getattr(module, attribute, None)
    if not isinstance(found, App):
        apps = ", ".join(_apps(module)) or "none"
        raise ConfigError(f"{target}: {attribute!r} is no App; the Apps there are: {apps}")
    return found


def _only(module: ModuleType, target: str) -> App:
    apps = _apps(module)
    if len(set(map(id, apps.values()))) == 1:
        return next(iter(apps.values()))
    if apps:
        raise ConfigError(
            f"{target} has several Apps: say which, such as {target}:{next(iter(apps))}"
        )
    raise ConfigError(f"{target} has no App: write `app = App()` there, at the top level")


def _apps(module: ModuleType) -> dict[str, App]:
    return {name: value for name, value in vars(module).items() if isinstance(value, App)}
