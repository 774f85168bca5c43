"""Any folder of NIfTI images with masks found by a rule of names."""

import csv
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.importers.errors import ImportOptionError, NothingToImportError
from pipeline.importers.licences import OWN
from pipeline.importers.nifti_study import MaskFile, NiftiStudy, read_nifti_study
from pipeline.importers.records import FoundStudies, Importer, ImportOptions, SourceStudy, StudyLabel
from pipeline.importers.structures import Structure, structure_from_word

_ID = "{id}"
_LUNGS = {1: Structure.RIGHT_LUNG, 2: Structure.LEFT_LUNG}


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every image that fits the rule, with the masks of the same id."""
    images = _by_id(source, options.images)
    masks, lungs = _by_id(source, options.masks), _by_id(source, options.lungs)
    taken = {*masks.values(), *lungs.values()}
    rows = _table(options.table)
    studies = tuple(
        _study(source, name, (path, masks.get(name), lungs.get(name)), row=rows.get(name, {}), options=options)
        for name, path in sorted(images.items())
        if path not in taken
    )
    if not studies:
        reason = f"{source} holds no image that is called {options.images}; say `--set images=...`."
        raise NothingToImportError(reason)
    return FoundStudies(studies=studies)


def _study(
    source: Path,
    name: str,
    paths: tuple[Path, Path | None, Path | None],
    *,
    row: Mapping[str, str],
    options: ImportOptions,
) -> SourceStudy:
    image, mask, lungs = paths
    files = NiftiStudy(
        patient=row.get("patient") or _patient(name, options.patient),
        study=name,
        image=image,
        masks=(
            *([MaskFile(path=lungs, structures=_LUNGS, shows_all_lesions=False)] if lungs else []),
            *([MaskFile(path=mask, structures=_values(options.structures))] if mask else []),
        ),
        label=_label(row.get("label", "")),
        has_no_lesions=row.get("label") == StudyLabel.HEALTHY.value,
        day=_day(row.get("day", "")),
        site=row.get("site", ""),
    )
    return SourceStudy(where=str(image.relative_to(source)), read=partial(read_nifti_study, files))


def _by_id(source: Path, rule: str) -> dict[str, Path]:
    """Files that fit a rule such as `images/{id}.nii.gz`, by their id."""
    if rule.count(_ID) != 1:
        reason = f"`{rule}` must hold {_ID} once."
        raise ImportOptionError(reason)
    before, after = rule.split(_ID)
    pattern = re.compile(f"{re.escape(before)}(?P<id>[^/]+){re.escape(after)}")
    found = {}
    for path in sorted(source.rglob("*.nii*")):
        match = pattern.fullmatch(path.relative_to(source).as_posix())
        if match:
            found[match["id"]] = path
    return found


def _patient(name: str, rule: str) -> str:
    match = _compiled(rule).search(name)
    return match.group(1) if match else name


def _compiled(rule: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(rule)
    except re.error as exc:
        reason = f"`{rule}` is no regular expression: {exc}."
        raise ImportOptionError(reason) from exc
    if pattern.groups < 1:
        reason = f"`{rule}` has no group in brackets that names the patient."
        raise ImportOptionError(reason)
    return pattern


def _values(chosen: Mapping[str, str]) -> dict[int, Structure]:
    """Meaning of mask values; without the user's word a mask holds 1 for lesion."""
    try:
        return {int(value): structure_from_word(word) for value, word in chosen.items()} or {1: Structure.LESION}
    except ValueError as exc:
        reason = "For nifti-dir, --map names values of masks, for example 1=ground-glass."
        raise ImportOptionError(reason) from exc


def _table(path: Path | None) -> dict[str, dict[str, str]]:
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if rows and "id" not in rows[0]:
        reason = f"{path} has no column `id`."
        raise ImportOptionError(reason)
    return {row["id"]: {key: (value or "").strip() for key, value in row.items() if key} for row in rows}


def _label(word: str) -> StudyLabel:
    try:
        return StudyLabel(word) if word else StudyLabel.UNKNOWN
    except ValueError as exc:
        known = ", ".join(label.value for label in StudyLabel)
        reason = f"The label `{word}` of the table is none of {known}."
        raise ImportOptionError(reason) from exc


def _day(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as exc:
        reason = f"The day `{text}` of the table is no number."
        raise ImportOptionError(reason) from exc


IMPORTER = Importer(
    name="nifti-dir",
    source="",
    summary="Pairs of NIfTI images and masks, found by a rule of names",
    licence=OWN,
    find=find,
)
