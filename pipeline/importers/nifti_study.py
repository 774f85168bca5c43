"""A study made of a NIfTI image with masks beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.importers.errors import StudyNotImportedError
from pipeline.importers.images import read_ct, read_mask
from pipeline.importers.records import ImportedStudy, StudyLabel
from pipeline.importers.structures import Structure
from pipeline.importers.truth import TruthCanvas


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """A mask and what its values mean."""

    path: Path
    structures: Mapping[int, Structure]
    """Of every value but 0; another value is an error."""
    shows_all_lesions: bool = True
    """What it leaves at 0 is no lesion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiStudy:
    """The files of one study and what is known of it."""

    patient: str
    study: str
    image: Path
    masks: tuple[MaskFile, ...] = ()
    label: StudyLabel = StudyLabel.UNKNOWN
    """Lesions in a mask make a study of unknown label one with lesions."""
    has_no_lesions: bool = False
    """The source says that nothing in it is a lesion."""
    day: float | None = None
    site: str = ""


def read_nifti_study(files: NiftiStudy) -> ImportedStudy:
    """Image and masks, in patient order.

    Raises:
        StudyNotImportedError: A file cannot be used.
    """
    volume_hu, grid = read_ct(files.image)
    canvas = TruthCanvas(grid.shape)
    if files.has_no_lesions:
        canvas.say_rest_is_no_lesion()
    for mask in files.masks:
        _paint(canvas, mask, read_mask(mask.path, grid))
    truth = canvas.truth(volume_hu, grid.spacing_mm)
    shows_lesion = truth.lesion is not None and bool(np.isin(truth.lesion, (1, 2, 3)).any())
    lesion_label = StudyLabel.LESION if shows_lesion else files.label
    return ImportedStudy(
        patient=files.patient,
        study=files.study,
        volume_hu=volume_hu,
        grid=grid,
        truth=truth,
        label=lesion_label if files.label is StudyLabel.UNKNOWN else files.label,
        slice_labels=np.zeros(grid.shape[0], np.int8) if files.has_no_lesions else None,
        day=files.day,
        site=files.site,
    )


def _paint(canvas: TruthCanvas, mask: MaskFile, values: np.ndarray) -> None:
    found = {int(value) for value in np.unique(values)} - {0}
    strange = sorted(found - mask.structures.keys())
    if strange:
        named = ", ".join(str(value) for value in strange)
        reason = f"The mask {mask.path.name} holds the values {named}, and nobody said what they mean."
        raise StudyNotImportedError(reason)
    if mask.shows_all_lesions:
        canvas.say_rest_is_no_lesion()
    for value in sorted(found):
        canvas.paint(mask.structures[value], values == value)
