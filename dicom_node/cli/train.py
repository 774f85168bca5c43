"""The command `train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.output import console
from dicom_node.cli.progress import PhaseProgress
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable


class MissingExtraError(NodeError):
    """Training and evaluation need packages that the node itself does not; install them with `pip install '.[train]'`."""


def train(
    config: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Training configuration, TOML.")],
    out: Annotated[Path, typer.Option(help="Folder for the model pack.")],
) -> None:
    """Train both networks, write a model pack.

    A run that was stopped goes on from what its cache holds; other settings or data need another cache folder.
    """
    from pipeline.training.config import TrainingConfigError, load_training_config

    try:
        wanted = load_training_config(config)
        run_training = _training()
        with PhaseProgress() as progress:
            folder = run_training(wanted, out=out, on_progress=progress.show)
    except TrainingConfigError as error:
        raise typer.BadParameter(error.reason, param_hint="--config") from error
    console().print(f"{folder}: name it as [pipeline].model_pack in the configuration", soft_wrap=True, markup=False)


def _training() -> "Callable[..., Path]":
    """What trains; to load it takes seconds, which nobody waits whose configuration is wrong."""
    try:
        from pipeline.training.run import train as run_training
    except ModuleNotFoundError as error:
        raise MissingExtraError from error
    return run_training
