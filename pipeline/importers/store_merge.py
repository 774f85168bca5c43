"""What a study in the store keeps of its truth when another format brings the same CT again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK

from pipeline.importers.errors import StudyNotImportedError
from pipeline.importers.records import ImportedStudy, KindSource, StudyLabel, Truth
from pipeline.importers.store_files import (
    CT_FILE,
    LESION_FILE,
    LUNG_FILE,
    SLICE_LABELS_FILE,
    read_lobe_labels,
    read_slice_labels,
)
from pipeline.orient import grid_of_image
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.study import UInt8Array

LUNGS, LESIONS, SLICES = "lungs", "lesions", "slices"
"""Parts of what is known of a study, each of which a format may bring."""

_FILES = {LUNGS: LUNG_FILE, LESIONS: LESION_FILE, SLICES: SLICE_LABELS_FILE}


def parts_of(study: ImportedStudy) -> frozenset[str]:
    """What a study brings."""
    there = {
        LUNGS: study.truth.lung_mask is not None,
        LESIONS: study.truth.lesion is not None,
        SLICES: study.slice_labels is not None,
    }
    return frozenset(part for part, is_there in there.items() if is_there)


def kept_parts(study: ImportedStudy, folder: Path, brought_by: Mapping[str, str], importer: str) -> frozenset[str]:
    """Parts in the folder of a study that another format brought, and that the study that now comes does not have.

    Args:
        study: As an importer read it.
        folder: What the store has of it.
        brought_by: Which format brought each part of that; a part of which it is not noted counts as another's.
        importer: The format that now comes.
    """
    there = {part for part, name in _FILES.items() if (folder / name).is_file() and brought_by.get(part) != importer}
    return frozenset(there) - parts_of(study)


def with_kept(
    study: ImportedStudy, folder: Path, kept: frozenset[str], *, label: StudyLabel, kinds: KindSource, drawn_by: str
) -> ImportedStudy:
    """The study with those parts of what the store has of it.

    Args:
        study: As an importer read it.
        folder: What the store has of it.
        kept: From `kept_parts`.
        label: Of the study in the store; kept where the one that now comes has none.
        kinds: Of the lesions in the store.
        drawn_by: The same.

    Raises:
        StudyNotImportedError: The CT is another one, on which these parts do not lie, or the folder is damaged.
    """
    if not kept:
        return study
    what = " and ".join(sorted(kept))
    way_out = f"Take {folder} away and import the study again, in each format that it came in."
    try:
        if _is_same_ct(study, folder / CT_FILE):
            return _merged(study, folder, kept, label=label, kinds=kinds, drawn_by=drawn_by)
    except FOREIGN_READ_ERRORS as exc:
        reason = f"What the store has of this study is damaged, with {what} that another format brought. {way_out}"
        raise StudyNotImportedError(reason) from exc
    reason = f"The store has another CT of this study, with {what} that another format brought. {way_out}"
    raise StudyNotImportedError(reason)


def _merged(
    study: ImportedStudy, folder: Path, kept: frozenset[str], *, label: StudyLabel, kinds: KindSource, drawn_by: str
) -> ImportedStudy:
    truth = Truth(
        lung_mask=_mask(folder / LUNG_FILE) if LUNGS in kept else study.truth.lung_mask,
        lesion=_mask(folder / LESION_FILE) if LESIONS in kept else study.truth.lesion,
        kinds=kinds if LESIONS in kept else study.truth.kinds,
    )
    merged = replace(
        study,
        truth=truth,
        label=label if study.label is StudyLabel.UNKNOWN else study.label,
        drawn_by=drawn_by if LESIONS in kept else study.drawn_by,
    )
    if SLICES not in kept:
        return merged
    table = folder / SLICE_LABELS_FILE
    return replace(merged, slice_labels=read_slice_labels(table), lobe_labels=read_lobe_labels(table))


def _is_same_ct(study: ImportedStudy, path: Path) -> bool:
    image = SimpleITK.ReadImage(str(path))
    places = grid_of_image(image).affine_lps_from_kji, study.grid.affine_lps_from_kji
    return np.allclose(*places, atol=1e-3) and np.array_equal(SimpleITK.GetArrayFromImage(image), study.volume_hu)


def _mask(path: Path) -> UInt8Array:
    mask: UInt8Array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return mask
