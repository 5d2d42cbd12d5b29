"""Program: the user's own code, as `APP` names it, with the App that it declares."""

from __future__ import annotations

import traceback

import click

from headrace.app import App
from headrace.cli.storage import check_shared
from headrace.config import load as merged
from headrace.errors import ConfigError, HeadraceError
from headrace.target import load


def open_program(target: str, ctx: click.Context) -> App:
    """Import a program and return its App, which uses what `--url` and `--config` say.

    Args:
        target: `module:attribute` or `file.py`.
        ctx: has the options of the command line.

    Raises:
        ConfigError: there is no such App, importing it fails, it has no tasks, only its own
            process can see its jobs, or it does not let the command line choose a setting.
    """
    app = _imported(target)
    check_shared(app.config)
    if not len(app.registry):
        raise ConfigError(f"{target} declares no task: put @app.task above a function there")
    given = ctx.find_root().params
    names = [text.partition("=")[0] for text in given.get("settings", ())]
    names += ["url"] if given.get("url") else []
    for name in names:
        if getattr(app.config, name) != getattr(merged({}), name):
            raise ConfigError(
                f"{target} sets {name} itself, in App(...); change it there, or leave it to the"
                " command line"
            )
    return app


def _imported(target: str) -> App:
    try:
        return load(target)
    except (HeadraceError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"importing {target} fails: {type(error).__name__}: {error}"
            f" ({at.filename}, line {at.lineno})"
        ) from error
