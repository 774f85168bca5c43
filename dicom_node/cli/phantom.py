"""The command `phantom`."""

from pathlib import Path
from typing import Annotated

import typer


def phantom(out: Annotated[Path, typer.Option(help="Gets one folder per study.")]) -> None:
    """Make a phantom patient's chest CT studies as DICOM."""
    raise typer.Exit(1)
