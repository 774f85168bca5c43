"""MIDRC-RICORD-1A: DICOM CT of COVID-19 with one JSON file of polygons and labels, exported from MD.ai.

    MIDRC-RICORD-1A/PATIENT/STUDY/SERIES/*.dcm
    MIDRC-RICORD-1a_annotations_labelgroup_all_*.json

Its outlines are polygons in pixels of one instance; some have no points. Series hold slices twice.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from pipeline.importers.errors import NothingToImportError, StudyNotImportedError
from pipeline.importers.licences import RICORD
from pipeline.importers.polygons import FEWEST_POINTS, polygon_mask
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
from pipeline.study import Float64Array

STRUCTURE_OF_LABEL = {
    "Infectious opacity": Structure.LESION,
    "Infectious TIB/micronodules": Structure.OTHER_OPACITY,
    "Infectious cavity": Structure.OTHER_OPACITY,
    "Noninfectious nodule/mass": Structure.NOT_KNOWN,
    "Atelectasis": Structure.NOT_KNOWN,
    "Other noninfectious opacity": Structure.NOT_KNOWN,
}
"""Labels of the annotation project; another label is not known."""

_NO_OUTLINES = "Nobody outlined anything in this series."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """One annotation of an instance."""

    sop_instance_uid: str
    structure: Structure
    points: Float64Array | None
    """(n, 2), x, y in pixels; None where only the label was given."""


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every CT series in which somebody outlined something."""
    outlines = _outlines(source)
    series = grouped([file for file in dicom_files(source) if file.is_ct_image], lambda file: file.series_uid)
    if not series:
        reason = f"{source} holds no DICOM CT beside its JSON file."
        raise NothingToImportError(reason)
    studies, refused = [], []
    for files in series.values():
        where = str(files[0].path.parent.relative_to(source))
        drawn = [outline for file in files for outline in outlines.get(file.sop_instance_uid, [])]
        if drawn:
            studies.append(SourceStudy(where=where, read=partial(_read_study, files, drawn)))
        else:
            refused.append(Refusal(where=where, reason=_NO_OUTLINES))
    return FoundStudies(studies=tuple(studies), refused=tuple(refused))


def _outlines(source: Path) -> dict[str, list[Outline]]:
    """Annotations of instances, by SOP Instance UID."""
    found: dict[str, list[Outline]] = defaultdict(list)
    exports = [export for export in (_export(path) for path in sorted(source.rglob("*.json"))) if export]
    if not exports:
        reason = f"{source} holds no JSON file of annotations with `datasets` and `labelGroups`."
        raise NothingToImportError(reason)
    for outline in (outline for export in exports for outline in _outlines_of(export)):
        found[outline.sop_instance_uid].append(outline)
    return found


def _outlines_of(export: Mapping[str, Any]) -> list[Outline]:
    """Annotations of instances; those of whole studies have no place."""
    labels = [label for group in export["labelGroups"] for label in group.get("labels") or []]
    names = {str(label.get("id")): str(label.get("name")) for label in labels}
    annotations = [one for dataset in export["datasets"] for one in dataset.get("annotations") or []]
    return [_outline(one, names) for one in annotations if one.get("scope") == "INSTANCE"]


def _export(path: Path) -> dict[str, Any] | None:
    """An export of MD.ai; None for any other JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_export = isinstance(content, dict) and {"datasets", "labelGroups"} <= content.keys()
    return dict(content) if is_export else None


def _outline(annotation: Mapping[str, Any], names: Mapping[str, str]) -> Outline:
    data = annotation.get("data") or {}
    vertices = np.array(data.get("vertices") or [], dtype=np.float64).reshape(-1, 2)
    name = names.get(str(annotation.get("labelId")), "")
    return Outline(
        sop_instance_uid=str(annotation.get("SOPInstanceUID")),
        structure=STRUCTURE_OF_LABEL.get(name, Structure.NOT_KNOWN),
        points=vertices if len(vertices) >= FEWEST_POINTS else None,
    )


def _read_study(files: Sequence[DicomFile], outlines: Sequence[Outline]) -> ImportedStudy:
    ct = read_dicom_ct(files)
    canvas = TruthCanvas(ct.lps.grid.shape)
    canvas.say_rest_is_no_lesion()
    labelled_only = _paint(canvas, ct, files, outlines)
    _paint_unknown_slices(canvas, ct, labelled_only)
    truth = canvas.truth(ct.lps.volume_hu, ct.lps.spacing_mm)
    return replace(study_of_ct(ct), truth=truth, label=StudyLabel.COVID_19, drawn_by="manual")


def _paint(canvas: TruthCanvas, ct: DicomCt, files: Sequence[DicomFile], outlines: Sequence[Outline]) -> frozenset[int]:
    """Paint all polygons; the slices where a label came without one."""
    slices = slice_of_instance(ct, files)
    painted: dict[Structure, dict[int, Any]] = defaultdict(dict)
    labelled_only = set()
    for outline in outlines:
        k = slices.get(outline.sop_instance_uid)
        if k is None:
            reason = "It was outlined on an image that is no slice of its volume."
            raise StudyNotImportedError(reason)
        if outline.points is None:
            labelled_only.add(k)
            continue
        mask = polygon_mask(outline.points, ct.source.grid.shape[1:])
        painted[outline.structure][k] = painted[outline.structure].get(k, False) | mask
    for structure, planes in painted.items():
        volume = np.zeros(ct.source.grid.shape, np.uint8)
        for k, plane in planes.items():
            volume[k] = plane
        canvas.paint(structure, ct.in_patient_order(volume) > 0)
    return frozenset(labelled_only)


def _paint_unknown_slices(canvas: TruthCanvas, ct: DicomCt, slices: frozenset[int]) -> None:
    """Where a label came without its outline, what was not outlined is not known."""
    volume = np.zeros(ct.source.grid.shape, np.uint8)
    volume[sorted(slices)] = 1
    canvas.paint(Structure.NOT_KNOWN, ct.in_patient_order(volume) > 0)


IMPORTER = Importer(
    name="ricord",
    source="ricord",
    summary="MIDRC-RICORD-1A, DICOM with MD.ai polygons in JSON",
    licence=RICORD,
    find=find,
)
