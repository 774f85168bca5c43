"""COVID-19-CT-Seg: 20 NIfTI volumes with lung and infection masks, of which 10 are in Hounsfield units.

COVID-19-CT-Seg_20cases/coronacases_001.nii.gz, radiopaedia_*.nii.gz
Lung_Mask/                 1 left, 2 right lung
Infection_Mask/            1 infection
Lung_and_Infection_Mask/   1 left, 2 right lung, 3 infection
"""

from functools import partial
from pathlib import Path

from pipeline.importers.errors import NothingToImportError
from pipeline.importers.images import find_nifti, nifti_files, stem
from pipeline.importers.licences import COVID_CT_SEG
from pipeline.importers.nifti_study import MaskFile, NiftiStudy, read_nifti_study
from pipeline.importers.records import FoundStudies, Importer, ImportOptions, Refusal, SourceStudy, StudyLabel
from pipeline.importers.structures import Structure

IMAGES = "COVID-19-CT-Seg_20cases"

_LUNGS = {1: Structure.LEFT_LUNG, 2: Structure.RIGHT_LUNG}
_WINDOWED = (
    "The Radiopaedia cases of this set were shown in a display window (-1250 to 250 HU) and saved as 0 to 255: "
    "they hold no Hounsfield units."
)
_NO_MASK = "It has no mask of the infection."


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """The cases in Hounsfield units; the others are refused."""
    images = nifti_files(source / IMAGES)
    if not images:
        reason = f"{source} holds no folder {IMAGES} with NIfTI files; unpack the four archives side by side."
        raise NothingToImportError(reason)
    studies, refused = [], []
    for image in images:
        where = f"{IMAGES}/{image.name}"
        masks = _masks(source, stem(image))
        if image.name.startswith("radiopaedia"):
            refused.append(Refusal(where=where, reason=_WINDOWED))
        elif not masks:
            refused.append(Refusal(where=where, reason=_NO_MASK))
        else:
            files = NiftiStudy(patient=stem(image), study="ct", image=image, masks=masks, label=StudyLabel.COVID_19)
            studies.append(SourceStudy(where=where, read=partial(read_nifti_study, files)))
    return FoundStudies(studies=tuple(studies), refused=tuple(refused))


def _masks(source: Path, name: str) -> tuple[MaskFile, ...]:
    """Lungs and infection, from two files or from the one that holds both; none without infection."""
    lungs = find_nifti(source / "Lung_Mask", name)
    infection = find_nifti(source / "Infection_Mask", name)
    both = find_nifti(source / "Lung_and_Infection_Mask", name)
    masks = [MaskFile(path=lungs, structures=_LUNGS, shows_all_lesions=False)] if lungs else []
    if infection:
        masks.append(MaskFile(path=infection, structures={1: Structure.LESION}))
    elif both:
        masks.append(MaskFile(path=both, structures={**_LUNGS, 3: Structure.LESION}))
    return tuple(masks) if infection or both else ()


IMPORTER = Importer(
    name="covid-ct-seg",
    source="covid-ct-seg",
    summary="COVID-19-CT-Seg, NIfTI with lung and infection masks",
    licence=COVID_CT_SEG,
    find=find,
)
