"""The command `phantom`."""

import inspect
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicom_node.cli.output import console
from dicom_node.cli.progress import PhaseProgress

if TYPE_CHECKING:
    from dicom_node.demo.patient import PatientPlan

_MOST_DAYS = 3650
"""Before or after the first symptom."""
COURSES = ("healthy", "early", "advanced", "severe", "absorption")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomOptions:
    """The options of the command."""

    out: Annotated[Path, typer.Option(help="Gets one folder per study.")]
    seed: Annotated[int, typer.Option(min=0, help="Which patient; the same seed gives the same files.")] = 7
    course: Annotated[str, typer.Option(help=f"Course of the disease: {', '.join(COURSES)}.")] = "advanced"
    days: Annotated[str, typer.Option(help="Days of the studies since the first symptom, with commas between.")] = (
        "10,20"
    )
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Rows and columns of an image.")] = 512
    slice_spacing: Annotated[float, typer.Option(min=0.5, max=10, help="Distance between slices in mm.")] = 3.0
    multi_frame: Annotated[
        bool, typer.Option("--multi-frame", help="Write a series as one Enhanced CT image, not as one image per slice.")
    ] = False


def phantom(**options: Any) -> None:
    """Make a phantom patient's chest CT as DICOM.

    Each study holds what a scanner sends: a scout, axial series of a lung and a soft kernel, a coronal reformat.
    """
    from dicom_node.demo.patient import write_patient

    chosen = PhantomOptions(**options)
    plan = _plan(chosen)
    with PhaseProgress() as progress:
        total = len(plan.days)
        folders = write_patient(
            plan, chosen.out, on_study=lambda number, folder: progress.show(f"Making {folder}", (number - 1) / total)
        )
    for folder in folders:
        console().print(str(folder), soft_wrap=True, markup=False)


# Typer reads the options from here: they are one record, because they are more than a function has room for.
phantom.__signature__ = inspect.signature(PhantomOptions)  # type: ignore[attr-defined]


def _plan(chosen: PhantomOptions) -> "PatientPlan":
    """The patient that the options describe."""
    from dicom_node.demo.patient import DEMO_PLAN, PatientPlan
    from pipeline.phantom import Course

    if chosen.course not in COURSES:
        reason = f"must be one of {', '.join(COURSES)}"
        raise typer.BadParameter(reason, param_hint="--course")
    return PatientPlan(
        seed=chosen.seed,
        course=Course(chosen.course),
        days=_days(chosen.days),
        scan=replace(DEMO_PLAN.scan, matrix=chosen.matrix, slice_spacing_mm=chosen.slice_spacing),
        multi_frame=chosen.multi_frame,
    )


def _days(text: str) -> tuple[float, ...]:
    """The days, each a number within a life, in ascending order."""
    try:
        days = tuple(sorted({float(day) for day in text.split(",")}))
    except ValueError:
        days = (math.nan,)
    if not all(abs(day) <= _MOST_DAYS for day in days):
        reason = f"must be numbers from -{_MOST_DAYS} to {_MOST_DAYS} with commas between, for example 10,20"
        raise typer.BadParameter(reason, param_hint="--days")
    return days
