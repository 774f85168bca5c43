"""CT with DICOM segmentations: what a PACS holds after a radiologist corrected a segmentation."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.importers.dicom_files import DicomFile, dicom_files, grouped, read_dicom_ct, studies_drawn_on, study_of_ct
from pipeline.importers.errors import NothingToImportError, StudyNotImportedError
from pipeline.importers.frame_references import check_drawn_on
from pipeline.importers.licences import OWN
from pipeline.importers.records import (
    FoundStudies,
    ImportedStudy,
    Importer,
    ImportOptions,
    Refusal,
    StudyLabel,
)
from pipeline.importers.segments import (
    SEGMENTATION_CLASSES,
    Segment,
    read_segmentation,
    referenced_series,
    segment_mask,
)
from pipeline.importers.structures import Structure, structure_coded
from pipeline.importers.truth import SAYS_LESION, TruthCanvas

SOURCE = "site"
"""All DICOM of a site is one source, so that a patient is one patient whatever objects come with the CT."""

AUTOMATIC = "automatic"
_NO_CT = "The CT that it was drawn on is not here."
_MEANS_NOTHING = "None of its segments is a lung or a lesion by code or name; say `--map NAME=lesion`."


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every CT series that a segmentation was drawn on."""
    files = dicom_files(source)
    segmentations = [file for file in files if file.sop_class_uid in SEGMENTATION_CLASSES]
    if not segmentations:
        reason = f"{source} holds no DICOM segmentation (SEG)."
        raise NothingToImportError(reason)
    images = [file for file in files if file.is_ct]
    drawn_on, refused = _by_series(segmentations, images, source)
    series = grouped(images, lambda file: file.series_uid)
    studies = studies_drawn_on(source, series, drawn_on, partial(_read_study, options))
    return FoundStudies(studies=studies, refused=tuple(refused))


def _by_series(
    segmentations: Sequence[DicomFile], images: Sequence[DicomFile], source: Path
) -> tuple[dict[str, list[DicomFile]], list[Refusal]]:
    """Segmentations by the CT series they were drawn on; one that names none goes to the only series of its study."""
    by_study = grouped(images, lambda file: file.study_uid)
    known = {file.series_uid for file in images}
    drawn_on: dict[str, list[DicomFile]] = defaultdict(list)
    refused = []
    for file in segmentations:
        named = referenced_series(file.path)
        beside = {image.series_uid for image in by_study.get(file.study_uid, [])}
        series = sorted(named & known) if named else sorted(beside if len(beside) == 1 else ())
        if not series:
            refused.append(Refusal(where=str(file.path.relative_to(source)), reason=_NO_CT))
        for uid in series:
            drawn_on[uid].append(file)
    return drawn_on, refused


def _read_study(options: ImportOptions, images: Sequence[DicomFile], paths: Sequence[Path]) -> ImportedStudy:
    ct = read_dicom_ct(images)
    segmentations = [read_segmentation(path) for path in paths]
    segments = [segment for segmentation in segmentations for segment in segmentation.segments]
    was_corrected = any(_shows_lesion(segment, options) and segment.made_by != AUTOMATIC for segment in segments)
    canvas = TruthCanvas(ct.lps.grid.shape)
    makers: set[str] = set()
    for segmentation, segment in ((one, segment) for one in segmentations for segment in one.segments):
        shows_lesion, structure = _shows_lesion(segment, options), _structure(segment, options)
        if structure is Structure.NOTHING or (shows_lesion and was_corrected and segment.made_by == AUTOMATIC):
            continue
        check_drawn_on(ct, segmentation.source_frames)
        mask = segment_mask(segmentation, segment, ct.lps.grid)
        if mask is not None:
            canvas.paint(structure, mask)
            makers |= {segment.made_by} if shows_lesion else set()
    truth = canvas.truth(ct.lps.volume_hu, ct.lps.spacing_mm)
    if truth.lesion is None and truth.lung_mask is None:
        raise StudyNotImportedError(_MEANS_NOTHING)
    return replace(
        study_of_ct(ct),
        truth=truth,
        label=StudyLabel.UNKNOWN if truth.lesion is None else StudyLabel.LESION,
        drawn_by=", ".join(sorted(makers)),
        left_out=tuple(sorted({one.name for one in segments if _structure(one, options) is Structure.NOTHING})),
    )


def _structure(segment: Segment, options: ImportOptions) -> Structure:
    return structure_coded(segment.name, segment.codes, options.structures, sides=segment.sides)


def _shows_lesion(segment: Segment, options: ImportOptions) -> bool:
    return _structure(segment, options) in SAYS_LESION


IMPORTER = Importer(
    name="dicom-seg",
    source=SOURCE,
    summary="DICOM CT with DICOM segmentations (SEG)",
    licence=OWN,
    find=find,
)
