"""The result table of a batch: a row for each study, with what the analysis found."""

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

from dicom_node.batch.errors import MissingTableExtraError, TableNotWrittenError
from dicom_node.batch.findings import findings_of
from pipeline.spreadsheet import spreadsheet_value
from storage.batch_records import BatchLine, BatchStudyState
from storage.index import Index
from storage.records import StudyView

Row = dict[str, str | int | float | None]

TEXTS = ("study_instance_uid", "study_date", "state", "words", "asked_at", "ended_at")
TEXTS_FOUND = ("stage", "algorithm", "algorithm_version", "weights_sha256", "qualifications")
NUMBERS_FOUND = ("patient_score", "involvement_percent", "lesion_volume_ml")
COUNTS_FOUND = ("revision", "images", "lesions", "priors_used")
COLUMNS = (*TEXTS, *COUNTS_FOUND, *NUMBERS_FOUND, *TEXTS_FOUND)
PATIENT_COLUMNS = ("patient_id", "issuer", "patient_name", "birth_date", "sex", "accession_number")


class TableFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def table_rows(index: Index, number: int, *, with_patients: bool) -> Iterator[Row]:
    """A row for each study of a batch, in the order of its list; without `with_patients` no row names a patient."""
    for line in index.batches.lines(number):
        view = index.study(line.study_instance_uid)
        row = _row_of_line(line) | _row_of_findings(line, view)
        yield (row | _row_of_patient(view)) if with_patients else row


def write_table(path: Path, rows: Iterable[Row], form: TableFormat, *, with_patients: bool) -> int:
    """Write the rows, whole or not at all; returns how many they are.

    Raises:
        MissingTableExtraError: Parquet is asked for and its package is not there.
        TableNotWrittenError: The folder is not there, or the file cannot be written.
    """
    if not path.parent.is_dir():
        reason = f"{path}: there is no folder {path.parent}"
        raise TableNotWrittenError(reason)
    columns = (*COLUMNS, *PATIENT_COLUMNS) if with_patients else COLUMNS
    writers = {TableFormat.CSV: _write_csv, TableFormat.JSONL: _write_jsonl, TableFormat.PARQUET: _write_parquet}
    half = path.with_name(f".{path.name}.part")
    try:
        count = writers[form](half, rows, columns)
        half.replace(path)
    except OSError as exc:
        # Its own words name the half of the file, which nobody asked for.
        reason = f"{path}: cannot be written: {exc.strerror or type(exc).__name__}"
        raise TableNotWrittenError(reason) from exc
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return count


def _row_of_line(line: BatchLine) -> Row:
    return {
        "study_instance_uid": line.study_instance_uid,
        "study_date": line.study_date,
        "state": line.state.value,
        "words": line.words,
        "asked_at": line.asked_at.isoformat() if line.asked_at else None,
        "ended_at": line.ended_at.isoformat() if line.ended_at else None,
    }


def _row_of_findings(line: BatchLine, view: StudyView | None) -> Row:
    """What the batch keeps, else what the newest result says; nothing where there is neither."""
    found = line.findings
    if found is None and view is not None and line.state is BatchStudyState.ANALYSED:
        found = findings_of(view.result)
    return asdict(found) if found else dict.fromkeys((*COUNTS_FOUND, *NUMBERS_FOUND, *TEXTS_FOUND))


def _row_of_patient(view: StudyView | None) -> Row:
    if view is None:
        return dict.fromkeys(PATIENT_COLUMNS)
    return {
        "patient_id": view.patient.patient_id,
        "issuer": view.patient.issuer,
        "patient_name": view.demographics.patient_name,
        "birth_date": view.demographics.birth_date,
        "sex": view.demographics.sex,
        "accession_number": view.accession_number,
    }


def _write_csv(path: Path, rows: Iterable[Row], columns: tuple[str, ...]) -> int:
    """For spreadsheets: what a sender wrote is never a formula there."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: spreadsheet_value(value) for name, value in row.items()})
            count += 1
    return count


def _write_jsonl(path: Path, rows: Iterable[Row], _columns: tuple[str, ...]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[Row], columns: tuple[str, ...]) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as exc:
        raise MissingTableExtraError from exc
    types = {name: pa.int64() for name in COUNTS_FOUND} | {name: pa.float64() for name in NUMBERS_FOUND}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    table = pa.Table.from_pylist(list(rows), schema=schema)
    parquet.write_table(table, path)
    return int(table.num_rows)
