"""COVID-19-20: NIfTI volumes with lesion masks; an id that ends in `_1` is a repeat scan of the same patient.

[Train/]volume-covid19-A-0011_ct.nii.gz, volume-covid19-A-0011_seg.nii.gz
"""

import re
from functools import partial
from pathlib import Path

from pipeline.importers.errors import NothingToImportError
from pipeline.importers.images import NIFTI_NAME, find_nifti, stem
from pipeline.importers.licences import COVID_19_20
from pipeline.importers.nifti_study import MaskFile, NiftiStudy, read_nifti_study
from pipeline.importers.records import FoundStudies, Importer, ImportOptions, Refusal, SourceStudy, StudyLabel
from pipeline.importers.structures import Structure

_REPEAT = re.compile(r"(?P<patient>.+-\d+)_\d+")
_NO_MASK = "It has no segmentation beside it: the masks of the challenge's later phases were not given out."


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every volume that has its mask beside it."""
    images = [path for path in sorted(source.rglob("*_ct.nii*")) if NIFTI_NAME.fullmatch(path.name)]
    if not images:
        reason = f"{source} holds no files *_ct.nii.gz."
        raise NothingToImportError(reason)
    studies, refused = [], []
    for image in images:
        where = str(image.relative_to(source))
        name = stem(image).removesuffix("_ct")
        mask = find_nifti(image.parent, f"{name}_seg")
        if mask is None:
            refused.append(Refusal(where=where, reason=_NO_MASK))
            continue
        files = NiftiStudy(
            patient=patient_of(name),
            study=name,
            image=image,
            masks=(MaskFile(path=mask, structures={1: Structure.LESION}),),
            label=StudyLabel.COVID_19,
        )
        studies.append(SourceStudy(where=where, read=partial(read_nifti_study, files)))
    return FoundStudies(studies=tuple(studies), refused=tuple(refused))


def patient_of(name: str) -> str:
    """The patient behind the name of a volume."""
    match = _REPEAT.fullmatch(name)
    return match["patient"] if match else name


IMPORTER = Importer(
    name="covid-19-20",
    source="covid-19-20",
    summary="COVID-19-20 challenge, NIfTI with lesion masks",
    licence=COVID_19_20,
    find=find,
)
