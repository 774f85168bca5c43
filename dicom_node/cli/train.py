"""The command `train`."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Training configuration, TOML.")],
    out: Annotated[Path, typer.Option(help="Folder for the model pack.")],
) -> None:
    """Train both networks and write a model pack."""
    raise typer.Exit(1)
