"""A whole import: find studies, read each, put it into the store, say what was left out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.importers.errors import ImportOptionError, NothingToImportError, StudyNotImportedError
from pipeline.importers.licences import OWN
from pipeline.importers.records import (
    FoundStudies,
    ImportedStudy,
    Importer,
    ImportOptions,
    Licence,
    Refusal,
    SourceStudy,
)
from pipeline.importers.registry import importer_named
from pipeline.importers.store import Outcome, open_store
from pipeline.read import FOREIGN_READ_ERRORS

Progress = Callable[[str, float], None]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})

_PICTURES_REASON = "JPG and PNG pictures of slices hold no Hounsfield units and make no volume: get the DICOM or NIfTI."

SPLIT_CHOICES = ("patient", "site")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a folder."""

    source: str
    licence: Licence
    outcomes: tuple[Outcome, ...]
    """One per study that is now in the store."""
    refused: tuple[Refusal, ...]
    left_out: tuple[str, ...]
    """Names of structures that mean nothing to this software."""
    notes: tuple[str, ...] = ()
    """What the user should look at."""

    def count(self, outcome: Outcome) -> int:
        """Studies of one outcome."""
        return self.outcomes.count(outcome)


def import_data(
    name: str, source: Path, store: Path, *, options: ImportOptions, licence: str = "", on_progress: Progress
) -> ImportReport:
    """Bring a folder into a store; what cannot be used is named and does not stop the rest.

    Args:
        name: Of the format, see `IMPORTERS`.
        source: Folder with the data as its publisher lays it out.
        store: Folder of the store; made if it is not there.
        options: What the user says about the source.
        licence: Terms of the data; empty keeps those that were stated of the source, else those of the format.
        on_progress: Called with what is being done and how far it is, 0..1.

    Raises:
        ImportingError: Nothing can be imported, or the store cannot be used.
    """
    if options.split_by not in SPLIT_CHOICES:
        reason = f"split-by={options.split_by}: say {' or '.join(SPLIT_CHOICES)}."
        raise ImportOptionError(reason)
    importer = importer_named(name)
    on_progress("looking for studies", 0.0)
    found = _found(importer, source, options)
    source_name = options.name or importer.source or source.resolve().name
    refused, left_out = list(found.refused), set[str]()
    outcomes: list[Outcome] = []
    with open_store(store) as opened:
        terms = _terms(importer, licence, opened.terms_of(source_name))
        opened.state_terms(source_name, terms)
        for number, study in enumerate(found.studies):
            on_progress("importing", number / len(found.studies))
            read = _read(study)
            if isinstance(read, Refusal):
                refused.append(read)
                continue
            left_out |= set(read.left_out)
            try:
                outcomes.append(
                    opened.write(read, source=source_name, split_by=options.split_by, importer=importer.name)
                )
            except StudyNotImportedError as exc:
                refused.append(Refusal(where=study.where, reason=exc.reason))
        opened.finish()
    return ImportReport(
        source=source_name,
        licence=terms,
        outcomes=tuple(outcomes),
        refused=tuple(refused),
        left_out=tuple(sorted(left_out)),
        notes=found.notes,
    )


def _terms(importer: Importer, stated: str, known: Licence | None) -> Licence:
    """What the user states now, else what was stated of the source before, else what is known of the format."""
    if stated:
        return replace(importer.licence, name=stated, note="")
    return importer.licence if known is None or known.name == OWN.name else known


def _found(importer: Importer, source: Path, options: ImportOptions) -> FoundStudies:
    """What the importer finds; where that is nothing and there are pictures, these are the reason."""
    try:
        return importer.find(source, options)
    except NothingToImportError as exc:
        pictures = sum(path.suffix.lower() in PICTURES for path in source.rglob("*"))
        if not pictures:
            raise
        raise NothingToImportError(_picture_reason(source, pictures)) from exc
    except FOREIGN_READ_ERRORS as exc:
        reason = f"{source} is damaged, or not laid out as {importer.name} is ({type(exc).__name__})."
        raise NothingToImportError(reason) from exc


def _picture_reason(source: Path, pictures: int) -> str:
    noun = "picture" if pictures == 1 else "pictures"
    return f"{source} holds {pictures} {noun} and nothing in this format. {_PICTURES_REASON}"


def _read(study: SourceStudy) -> ImportedStudy | Refusal:
    try:
        return study.read()
    except PipelineError as exc:
        return Refusal(where=study.where, reason=exc.reason)
    except FOREIGN_READ_ERRORS as exc:
        reason = f"It is damaged, or not laid out as this format is ({type(exc).__name__})."
        return Refusal(where=study.where, reason=reason)
