"""MosMedData COVID19_1110: NIfTI volumes in folders of severity, 50 of them with masks.

[studies/]CT-0 ... CT-4/study_0001.nii.gz   CT-0 is without signs of viral pneumonia
masks/study_0255_mask.nii.gz                1 ground-glass or consolidation
"""

from functools import partial
from pathlib import Path

from pipeline.importers.errors import NothingToImportError
from pipeline.importers.images import find_nifti, nifti_files, stem
from pipeline.importers.licences import MOSMED
from pipeline.importers.nifti_study import MaskFile, NiftiStudy, read_nifti_study
from pipeline.importers.records import FoundStudies, Importer, ImportOptions, SourceStudy, StudyLabel
from pipeline.importers.structures import Structure

CLASSES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
HEALTHY_CLASS = CLASSES[0]


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every study; most have a class and no mask."""
    root = source / "studies" if (source / "studies").is_dir() else source
    images = [image for name in CLASSES for image in nifti_files(root / name)]
    if not images:
        reason = f"{source} holds no folders CT-0 to CT-4 with NIfTI files."
        raise NothingToImportError(reason)
    return FoundStudies(studies=tuple(_study(source, image) for image in images))


def _study(source: Path, image: Path) -> SourceStudy:
    is_healthy = image.parent.name == HEALTHY_CLASS
    mask = find_nifti(source / "masks", f"{stem(image)}_mask")
    files = NiftiStudy(
        patient=stem(image),
        study="ct",
        image=image,
        masks=(MaskFile(path=mask, structures={1: Structure.LESION}),) if mask else (),
        label=StudyLabel.HEALTHY if is_healthy else StudyLabel.COVID_19,
        has_no_lesions=is_healthy,
    )
    return SourceStudy(where=str(image.relative_to(source)), read=partial(read_nifti_study, files))


IMPORTER = Importer(
    name="mosmed",
    source="mosmed",
    summary="MosMedData COVID19_1110, NIfTI in folders of severity",
    licence=MOSMED,
    find=find,
)
