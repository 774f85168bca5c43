"""What the commands take from the global options."""

from pathlib import Path

import typer

from config import Settings, load_settings


def settings_of(context: typer.Context) -> Settings:
    """The settings of this call; ConfigError with every problem of the file."""
    return load_settings(configuration_path(context))


def configuration_path(context: typer.Context) -> Path | None:
    """The file named by `--config`; None when the option is absent."""
    path = context.find_root().obj
    return path if isinstance(path, Path) else None


def configuration_in_use(context: typer.Context) -> Path | None:
    """The file that the settings come from; None when there is none."""
    from config.load import path_from_environment

    return configuration_path(context) or path_from_environment()
