"""The store: a folder of studies on one pattern, whatever they came from.

    STORE/patients.csv                 one line per study
    STORE/licence.txt, sources.json    terms of everything inside, for people and for software
    STORE/kinds.txt                    how lesions of no stated kind were divided
    STORE/salt                         turns identifiers of the sources into those of the store; keep it to yourself
    STORE/studies/ID/study.json        what is known of the study
                     ct.nii.gz         HU, int16, patient order LPS
                     lung.nii.gz       1 right lung, 2 left lung; where somebody drew them
                     lesion.nii.gz     0 none, 1 ground-glass, 2 consolidation, 3 other opacity, 255 not known
                     slice_labels.csv  where readers labelled slices
                     boxes.json        boxes around the lesions of each slice, from lesion.nii.gz

`study.json` is what counts; `patients.csv` and `licence.txt` are written anew from all of them.
"""

import csv
import fcntl
import hmac
import json
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from enum import Enum
from io import StringIO
from pathlib import Path

from pipeline.importers.errors import DamagedStudyError, StoreError
from pipeline.importers.records import ImportedStudy, KindSource, Licence, StudyLabel
from pipeline.importers.splits import Split, split_of, strictest
from pipeline.importers.store_files import content_of, flush_folder, write_study_files, write_text
from pipeline.importers.store_merge import kept_parts, parts_of, with_kept
from pipeline.importers.truth import KIND_RULE
from pipeline.spreadsheet import spreadsheet_value

FORMAT = 1
SALT_FILE, SOURCES_FILE, TABLE_FILE, LICENCE_FILE = "salt", "sources.json", "patients.csv", "licence.txt"
KINDS_FILE = "kinds.txt"
STUDY_FILE = "study.json"

_CLOCK_BEGINS, _LATEST_START_DAYS = date(1990, 1, 1), 3650
"""Dates become days on a clock of each patient's own, which starts at random: only differences mean something."""


class Outcome(Enum):
    """What became of a study that was written."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """One study of a store: a line of `patients.csv`."""

    patient: str
    study: str
    day: float | None
    """On the patient's own clock; None where the source knows no dates."""
    source: str
    site: str
    kernel: str
    thickness_mm: float | None
    slice_spacing_mm: float
    label: StudyLabel
    kinds: KindSource
    drawn_by: str
    has_lungs: bool
    has_slice_labels: bool
    split: Split
    content: str
    """Hash of everything in its folder."""
    brought_by: Mapping[str, str] = field(default_factory=dict)
    """Format that brought each part of what is known; nothing in stores of earlier versions."""


class Store:
    """A store that is open for writing; see `open_store`."""

    def __init__(self, folder: Path) -> None:
        """Make the folder ready, mending what an interrupted import left."""
        self._folder = folder
        self._studies = folder / "studies"
        self._studies.mkdir(parents=True, exist_ok=True)
        self._salt = _salt(folder / SALT_FILE)
        _mend(self._studies)

    def write(self, study: ImportedStudy, *, source: str, split_by: str, importer: str = "") -> Outcome:
        """Put one study in place, whole or not at all; the same content leaves everything as it is.

        What another format drew on the same CT, and this one does not, stays. A study that is damaged is replaced.

        Args:
            study: As an importer read it.
            source: Name of the data set; identifiers mean something within it only.
            split_by: "patient", or "site" to keep whole sites out of training.
            importer: Name of the format.

        Raises:
            StudyNotImportedError: What another format drew would be lost, since the CT has changed.
            StoreError: Another version wrote the study.
        """
        target = self._studies / self._hashed("s", source, study.patient, study.study)
        was_there = target.exists()
        before = _stored_or_damaged(target)
        brought_by = dict.fromkeys(sorted(parts_of(study)), importer)
        if before is not None:
            kept = kept_parts(study, target, before.brought_by, importer)
            study = with_kept(study, target, kept, label=before.label, kinds=before.kinds, drawn_by=before.drawn_by)
            brought_by |= {part: before.brought_by.get(part, "") for part in sorted(kept)}
        record = replace(self._record(study, source, split_by), brought_by=brought_by)
        if before is not None and replace(before, brought_by=brought_by) == record:
            return Outcome.UNCHANGED
        fresh = self._studies / f".new-{record.study}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        write_study_files(fresh, study)
        write_text(fresh / STUDY_FILE, _as_json(_row(record)))
        flush_folder(fresh)
        self._put(fresh, target)
        return Outcome.REPLACED if was_there else Outcome.NEW

    def terms_of(self, source: str) -> Licence | None:
        """What is stated of a source; None: nothing yet."""
        return read_sources(self._folder).get(source)

    def state_terms(self, source: str, licence: Licence) -> None:
        """Write the terms of a source; to be done before its first study, so that a stop leaves none without them."""
        self._write_terms({**read_sources(self._folder), source: licence})

    def finish(self) -> None:
        """Write the table, and the terms of what is now inside alone."""
        used = {study.source for study in read_store(self._folder)}
        self._write_terms({name: terms for name, terms in read_sources(self._folder).items() if name in used})
        write_text(self._folder / KINDS_FILE, f"{KIND_RULE}\n")
        write_text(self._folder / TABLE_FILE, _table(read_store(self._folder)))
        flush_folder(self._folder)

    def _write_terms(self, sources: Mapping[str, Licence]) -> None:
        kept = dict(sorted(sources.items()))
        write_text(self._folder / SOURCES_FILE, _as_json({name: asdict(terms) for name, terms in kept.items()}))
        write_text(self._folder / LICENCE_FILE, _licence_text(kept))
        flush_folder(self._folder)

    def _record(self, study: ImportedStudy, source: str, split_by: str) -> StoredStudy:
        group = f"{source} site {study.site}" if split_by == "site" and study.site else f"{source} {study.patient}"
        patient = self._hashed("p", source, study.patient)
        return StoredStudy(
            patient=patient,
            study=self._hashed("s", source, study.patient, study.study),
            day=self._day(study, patient),
            source=source,
            site=self._hashed("c", study.site) if study.site else "",
            kernel=study.kernel,
            thickness_mm=study.thickness_mm,
            slice_spacing_mm=round(study.grid.spacing_mm[0], 4),
            label=study.label,
            kinds=study.truth.kinds,
            drawn_by=study.drawn_by,
            has_lungs=study.truth.lung_mask is not None,
            has_slice_labels=study.slice_labels is not None,
            split=split_of(group),
            content=content_of(study),
        )

    def _hashed(self, prefix: str, *parts: str) -> str:
        """A name that says nothing to who has not the salt."""
        return prefix + hmac.digest(self._salt, "\0".join(parts).encode(), "sha256").hex()[:16]

    def _day(self, study: ImportedStudy, patient: str) -> float | None:
        if study.acquired_on is None:
            return study.day
        start = int.from_bytes(hmac.digest(self._salt, f"clock {patient}".encode(), "sha256")[:4]) % _LATEST_START_DAYS
        return float((study.acquired_on - _CLOCK_BEGINS).days + start)

    def _put(self, fresh: Path, target: Path) -> None:
        old = target.with_name(f".old-{target.name}")
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        flush_folder(self._studies)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """A store to write to, made if it is not there; one import at a time.

    Raises:
        StoreError: Another import is writing to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            reason = f"Another import is writing to {folder}; wait for its end."
            raise StoreError(reason) from exc
        yield Store(folder)


def read_store(folder: Path) -> tuple[StoredStudy, ...]:
    """All studies of a store, by patient and day; every patient in one split.

    Raises:
        StoreError: There is no store, or a study of it is damaged.
    """
    if not (folder / "studies").is_dir():
        reason = f"{folder} is no store; make one with `dicom-node import`."
        raise StoreError(reason)
    found = [_stored(path.parent) for path in sorted((folder / "studies").glob(f"s*/{STUDY_FILE}"))]
    splits: dict[str, list[Split]] = defaultdict(list)
    for study in found:
        splits[study.patient].append(study.split)
    kept = [_with_split(study, strictest(splits[study.patient])) for study in found]
    return tuple(sorted(kept, key=lambda study: (study.patient, study.day or 0.0, study.study)))


def read_sources(folder: Path) -> dict[str, Licence]:
    """Terms of each source in a store.

    Raises:
        StoreError: They cannot be read: what may not be known must not be trained on.
    """
    path = folder / SOURCES_FILE
    if not path.exists():
        return {}
    try:
        return {name: Licence(**terms) for name, terms in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        reason = f"{path} is damaged; take it away and import every source again."
        raise StoreError(reason) from exc


def read_terms(folder: Path) -> dict[str, Licence]:
    """Terms of each source that a study of the store comes from.

    Raises:
        StoreError: There is no store, or it is damaged, or the terms of a study are not in it.
    """
    sources = read_sources(folder)
    used = sorted({study.source for study in read_store(folder)})
    missing = [name for name in used if name not in sources]
    if missing:
        reason = (
            f"{folder} holds studies of {', '.join(missing)} and no terms of them, as an import leaves them that was "
            "stopped. Import that data again, with `--licence` where you gave one."
        )
        raise StoreError(reason)
    return {name: sources[name] for name in used}


def _salt(path: Path) -> bytes:
    if not path.exists():
        part = path.with_name(".salt.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    return path.read_bytes().strip()


def _mend(studies: Path) -> None:
    """Undo what was half done when an import was killed."""
    for old in studies.glob(".old-*"):
        target = studies / old.name.removeprefix(".old-")
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)
    for fresh in studies.glob(".new-*"):
        shutil.rmtree(fresh)


def _stored_or_damaged(folder: Path) -> StoredStudy | None:
    """The study in a folder; None where there is none, or what is noted of it is damaged."""
    try:
        return _stored(folder) if folder.exists() else None
    except DamagedStudyError:
        return None


def _stored(folder: Path) -> StoredStudy:
    try:
        values = json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))
        written_as = values.pop("format")
        words = {
            "label": StudyLabel(values["label"]),
            "kinds": KindSource(values["kinds"]),
            "split": Split(values["split"]),
        }
        study = StoredStudy(**{**values, **words})
    except (OSError, ValueError, TypeError, KeyError) as exc:
        reason = f"{folder / STUDY_FILE} is missing or damaged; import the study again, in each format that it came in."
        raise DamagedStudyError(reason) from exc
    if written_as != FORMAT:
        reason = f"{folder} was written by another version; import it into a new store."
        raise StoreError(reason)
    return study


def _with_split(study: StoredStudy, split: Split) -> StoredStudy:
    return replace(study, split=split)


def _row(study: StoredStudy) -> dict[str, object]:
    values = {item.name: getattr(study, item.name) for item in fields(study)}
    return {"format": FORMAT} | {
        name: value.value if isinstance(value, Enum) else value for name, value in values.items()
    }


def _table(studies: tuple[StoredStudy, ...]) -> str:
    text = StringIO()
    names = [item.name for item in fields(StoredStudy) if item.name not in {"content", "brought_by"}]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for study in studies:
        writer.writerow({name: spreadsheet_value(value) for name, value in _row(study).items()})
    return text.getvalue()


def _licence_text(sources: Mapping[str, Licence]) -> str:
    parts = []
    for name, licence in sources.items():
        warnings = [
            "Not for commercial use; the same holds for weights trained on it unless a lawyer says otherwise."
            if licence.is_non_commercial
            else "",
            "Its terms forbid to pass on derivatives; weights may be one." if licence.is_no_derivatives else "",
        ]
        lines = [f"{name}: {licence.name}", licence.attribution, licence.note, *warnings]
        parts.append("\n".join(line for line in lines if line))
    return "\n\n".join(parts) + "\n"


def _as_json(values: object) -> str:
    return json.dumps(values, indent=2) + "\n"
