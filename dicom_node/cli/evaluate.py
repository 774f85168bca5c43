"""The command `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.output import console
from dicom_node.cli.progress import PhaseProgress
from dicom_node.cli.train import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable


def evaluate(
    config: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Evaluation configuration, TOML.")],
    out: Annotated[Path, typer.Option(help="Folder for readings, tables and figures.")],
    only: Annotated[list[str] | None, typer.Option(help="Name of a model; may be given more than once.")] = None,
) -> None:
    """Compare detectors on patients whose truth is known, with one date each and with all dates.

    An evaluation that was stopped goes on from the readings it made.
    """
    from pipeline.evaluation.config import load_evaluation_config
    from pipeline.evaluation.errors import EvaluationConfigError

    try:
        wanted = load_evaluation_config(config)
        run_evaluation = _evaluation()
        with PhaseProgress() as progress:
            table = run_evaluation(wanted, out=out, only=only or (), on_progress=progress.show)
    except EvaluationConfigError as error:
        raise typer.BadParameter(error.reason, param_hint="--config") from error
    console().print(f"{table}", soft_wrap=True, markup=False)


def _evaluation() -> "Callable[..., Path]":
    """What evaluates; to load it takes seconds, which nobody waits whose configuration is wrong."""
    try:
        from pipeline.evaluation.run import evaluate as run_evaluation
    except ModuleNotFoundError as error:
        raise MissingExtraError from error
    return run_evaluation
