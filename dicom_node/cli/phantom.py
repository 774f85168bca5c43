"""The command `phantom`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.output import console
from dicom_node.cli.progress import PhaseProgress

COURSES = ("healthy", "early", "advanced", "severe", "absorption")


def phantom(
    out: Annotated[Path, typer.Option(help="Gets one folder per study.")],
    seed: Annotated[int, typer.Option(min=0, help="Which patient; the same seed gives the same files.")] = 7,
    course: Annotated[str, typer.Option(help=f"Course of the disease: {', '.join(COURSES)}.")] = "advanced",
    days: Annotated[
        str, typer.Option(help="Days of the studies since the first symptom, with commas between.")
    ] = "10,20",
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Rows and columns of an image.")] = 512,
    slice_spacing: Annotated[float, typer.Option(min=0.5, max=10, help="Distance between slices in mm.")] = 3.0,
) -> None:
    """Make a phantom patient's chest CT as DICOM.

    Each study holds what a scanner sends: a scout, axial series of a lung and a soft kernel, a coronal reformat.
    """
    from dicom_node.demo.patient import DEMO_PLAN, PatientPlan, write_patient
    from pipeline.phantom import Course

    if course not in COURSES:
        reason = f"must be one of {', '.join(COURSES)}"
        raise typer.BadParameter(reason, param_hint="--course")
    scan = replace(DEMO_PLAN.scan, matrix=matrix, slice_spacing_mm=slice_spacing)
    plan = PatientPlan(seed=seed, course=Course(course), days=_days(days), scan=scan)
    with PhaseProgress() as progress:
        total = len(plan.days)
        folders = write_patient(
            plan, out, on_study=lambda number, folder: progress.show(f"Making {folder}", (number - 1) / total)
        )
    for folder in folders:
        console().print(str(folder), soft_wrap=True, markup=False)


def _days(text: str) -> tuple[float, ...]:
    """The days, each a number, in ascending order."""
    try:
        return tuple(sorted({float(day) for day in text.split(",")}))
    except ValueError as exc:
        reason = "must be numbers with commas between, for example 10,20"
        raise typer.BadParameter(reason, param_hint="--days") from exc
