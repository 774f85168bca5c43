"""Any folder of NIfTI images with masks found by a rule of names."""

import csv
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.importers.errors import ImportOptionError, NothingToImportError
from pipeline.importers.licences import OWN
from pipeline.importers.nifti_study import MaskFile, NiftiStudy, read_nifti_study
from pipeline.importers.records import FoundStudies, Importer, ImportOptions, SourceStudy, StudyLabel
from pipeline.importers.structures import Structure, structure_from_word

_ID = "{id}"
_LUNGS = {1: Structure.RIGHT_LUNG, 2: Structure.LEFT_LUNG}
_DEFAULTS = ImportOptions()
_FEW = 5
"""Ids that a note names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What lies in a folder and its table, by id."""

    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    lungs: Mapping[str, Path]
    rows: Mapping[str, Mapping[str, str]]

    def of_no_patient(self, rule: str) -> set[str]:
        """Ids of images whose patient neither the table nor a regular expression names."""
        named = {name for name in self.images if self.rows.get(name, {}).get("patient")}
        return {name for name in self.images if name not in named and not _compiled(rule).search(name)}


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every image that fits the rule, with the masks of the same id, and notes of what has no counterpart.

    Raises:
        NothingToImportError: No image fits its rule.
        ImportOptionError: A rule that the user gave, or the table, fits no image at all.
    """
    masks, lungs = _by_id(source, options.masks), _by_id(source, options.lungs)
    taken = {*masks.values(), *lungs.values()}
    images = {name: path for name, path in _by_id(source, options.images).items() if path not in taken}
    if not images:
        reason = f"{source} holds no image that is called {options.images}; say `--set images=...`."
        raise NothingToImportError(reason)
    found = _Found(images=images, masks=masks, lungs=lungs, rows=_table(options.table))
    _check_fits(found, options)
    studies = tuple(_study(source, name, found, options=options) for name in sorted(images))
    return FoundStudies(studies=studies, notes=tuple(_notes(found, options)))


def _check_fits(found: _Found, options: ImportOptions) -> None:
    """Nothing where each rule that the user gave, and the table, fits an image."""
    if options.table and not found.rows.keys() & found.images.keys():
        reason = (
            f"No row of {options.table} names an image: ids in it: {_few(found.rows.keys())}, of {options.images}: "
            f"{_few(found.images.keys())}. "
            "Write ids as the files are called; a spreadsheet takes leading zeros from a column that is not text."
        )
        raise ImportOptionError(reason)
    for key, files in (("masks", found.masks), ("lungs", found.lungs)):
        rule = getattr(options, key)
        if rule != getattr(_DEFAULTS, key) and not files.keys() & found.images.keys():
            reason = f"No image has a file that is called {rule}; say `--set {key}=...` as the files are called."
            raise ImportOptionError(reason)
    if found.of_no_patient(options.patient) == found.images.keys():
        reason = f"`patient={options.patient}` fits no id, for example not {min(found.images)}."
        raise ImportOptionError(reason)


def _notes(found: _Found, options: ImportOptions) -> Iterator[str]:
    """What has no counterpart."""
    images, masks = found.images.keys(), found.masks.keys()
    rows = found.rows.keys() if options.table else images
    without = {
        f"images without a mask {options.masks}": images - masks,
        f"masks without an image {options.images}, not imported": masks - images,
        "images without a row in the table, whose patient the id alone names": images - rows,
        "rows of the table without an image, not used": rows - images,
        f"images that patient={options.patient} does not fit, each a patient of its own": found.of_no_patient(
            options.patient
        ),
    }
    yield from (f"{what}: {_few(ids)}" for what, ids in without.items() if ids)


def _few(ids: Set[str]) -> str:
    """How many there are, and the first of them."""
    first = ", ".join(sorted(ids)[:_FEW])
    return f"{len(ids)} ({first}{', ...' if len(ids) > _FEW else ''})"


def _study(source: Path, name: str, found: _Found, *, options: ImportOptions) -> SourceStudy:
    image, mask, lungs, row = found.images[name], found.masks.get(name), found.lungs.get(name), found.rows.get(name, {})
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
    return {
        (row["id"] or "").strip(): {key: (value or "").strip() for key, value in row.items() if key} for row in rows
    }


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
