"""LIDC-IDRI: DICOM CT with the nodules that up to four readers outlined, in XML.

Nodules look like lesions and are none of infection, so they teach what not to report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pipeline.importers.dicom_files import (
    DicomCt,
    DicomFile,
    dicom_files,
    grouped,
    read_dicom_ct,
    slice_of_instance,
    study_of_ct,
)
from pipeline.importers.errors import ImportOptionError, NothingToImportError
from pipeline.importers.licences import LIDC
from pipeline.importers.polygons import polygon_mask
from pipeline.importers.records import (
    FoundStudies,
    ImportedStudy,
    Importer,
    ImportOptions,
    Refusal,
    SourceStudy,
    StudyLabel,
)
from pipeline.importers.structures import Structure
from pipeline.importers.truth import TruthCanvas
from pipeline.study import BoolArray, Float64Array

ROOT_TAG = "LidcReadMessage"
"""Of readings of CT; those of radiographs in the same set have another."""

NODULE_CHOICES = {"not-known": Structure.NOT_KNOWN, "no-lesion": Structure.NOTHING}

_NOT_READ = "No XML file holds readings of this series."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoduleOutline:
    """The outline of one nodule on one slice, by one reader."""

    sop_instance_uid: str
    points: Float64Array
    """(n, 2), x, y: the first pixels outside of the nodule."""
    is_hole: bool


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every CT series that was read."""
    if options.nodules not in NODULE_CHOICES:
        reason = f"nodules={options.nodules}: say {' or '.join(NODULE_CHOICES)}."
        raise ImportOptionError(reason)
    readings = _readings(source)
    series = grouped([file for file in dicom_files(source) if file.is_ct_image], lambda file: file.series_uid)
    if not readings or not series:
        reason = f"{source} holds no DICOM CT with LIDC readings in XML."
        raise NothingToImportError(reason)
    studies, refused = [], []
    for uid, files in series.items():
        where = str(files[0].path.parent.relative_to(source))
        if uid in readings:
            read = partial(_read_study, files, readings[uid], NODULE_CHOICES[options.nodules])
            studies.append(SourceStudy(where=where, read=read))
        else:
            refused.append(Refusal(where=where, reason=_NOT_READ))
    return FoundStudies(studies=tuple(studies), refused=tuple(refused))


def _readings(source: Path) -> dict[str, list[NoduleOutline]]:
    """Outlines by Series Instance UID; a series that was read and held no nodule has none."""
    found: dict[str, list[NoduleOutline]] = {}
    for path in sorted(source.rglob("*.xml")):
        root = _root(path)
        uid = root.findtext("{*}ResponseHeader/{*}SeriesInstanceUid", "").strip() if root is not None else ""
        if root is not None and uid:
            nodules = root.iterfind("{*}readingSession/{*}unblindedReadNodule/{*}roi")
            found.setdefault(uid, []).extend(outline for outline in map(_outline, nodules) if len(outline.points))
    return found


def _root(path: Path) -> ElementTree.Element | None:
    """The message in a file of readings of CT; None for any other."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    return root if root.tag.rpartition("}")[2] == ROOT_TAG else None


def _outline(roi: ElementTree.Element) -> NoduleOutline:
    points = [
        (float(edge.findtext("{*}xCoord", "nan")), float(edge.findtext("{*}yCoord", "nan")))
        for edge in roi.iterfind("{*}edgeMap")
    ]
    return NoduleOutline(
        sop_instance_uid=roi.findtext("{*}imageSOP_UID", "").strip(),
        points=np.array(points, dtype=np.float64).reshape(-1, 2),
        is_hole=roi.findtext("{*}inclusion", "TRUE").strip().upper() == "FALSE",
    )


def _read_study(files: Sequence[DicomFile], outlines: Sequence[NoduleOutline], nodules: Structure) -> ImportedStudy:
    ct = read_dicom_ct(files)
    canvas = TruthCanvas(ct.lps.grid.shape)
    canvas.say_rest_is_no_lesion()
    canvas.paint(nodules, ct.in_patient_order(_nodule_mask(ct, files, outlines).astype(np.uint8)) > 0)
    truth = canvas.truth(ct.lps.volume_hu, ct.lps.spacing_mm)
    return replace(study_of_ct(ct), truth=truth, label=StudyLabel.NODULE, drawn_by="manual")


def _nodule_mask(ct: DicomCt, files: Sequence[DicomFile], outlines: Sequence[NoduleOutline]) -> BoolArray:
    """(k, j, i): what any reader outlined, holes and all.

    A reader's hole is another's nodule, so holes are not cut out: nothing is learned from what is in doubt.
    """
    slices = slice_of_instance(ct, files)
    mask = np.zeros(ct.source.grid.shape, np.bool_)
    for outline in outlines:
        k = slices.get(outline.sop_instance_uid)
        if k is None or outline.is_hole:
            continue
        mask[k] |= polygon_mask(outline.points, ct.source.grid.shape[1:])
        columns, rows = outline.points.T.astype(int)
        inside = (rows >= 0) & (columns >= 0) & (rows < mask.shape[1]) & (columns < mask.shape[2])
        mask[k, rows[inside], columns[inside]] = True
    return mask


IMPORTER = Importer(
    name="lidc",
    source="lidc",
    summary="LIDC-IDRI, DICOM with nodule readings in XML",
    licence=LIDC,
    find=find,
)
