"""Compares files and index, in both directions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from storage.database import reading
from storage.disk import sha256_of
from storage.models import Instance, ResultObject
from storage.removal_models import Removal


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """How files and index go together; paths are below the data folder, made of hashes and name no patient."""

    passed: bool
    """Whether every row has its file with the bytes that it says; files without rows are harmless."""
    checked_objects: int
    """Received objects in the index."""
    checked_results: int
    """Files of results in the index."""
    missing: tuple[str, ...]
    """In the index and not on disk."""
    changed: tuple[str, ...]
    """On disk with other bytes than were received or made, or not readable."""
    unindexed: tuple[str, ...]
    """Received files on disk that the index does not know: their senders were not told Success, or it was restored from before they came."""
    partial_files: int
    """Files that are arriving, or that a crash left; the listener removes those when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """A file as the index has it."""

    path: str
    sha256: str


def verify(engine: Engine, data_dir: Path) -> VerifyReport:
    """Read every file that the index names, look for files that it does not name; nothing is changed.

    The node may run: what arrives meanwhile is no finding.

    Raises:
        StorageError: The index cannot be read.
    """
    objects, results = _objects(engine), _results(engine, data_dir)
    partial_files = sum(1 for _ in data_dir.glob("incoming/*.part"))
    missing, changed = _compare(data_dir, [*objects, *results])
    return VerifyReport(
        passed=not missing and not changed,
        checked_objects=len(objects),
        checked_results=len(results),
        missing=missing,
        changed=changed,
        unindexed=unindexed_files(engine, data_dir),
        partial_files=partial_files,
    )


def unindexed_files(engine: Engine, data_dir: Path) -> tuple[str, ...]:
    """Received files without a row, by their names, which say nothing of their age; the files are listed before the rows are read."""
    on_disk = {str(path.relative_to(data_dir)) for path in data_dir.glob("objects/*/*.dcm")}
    suspects = on_disk - {expected.path for expected in _objects(engine)} - _to_be_removed(engine)
    # A file lies in its place for a moment before its row is committed.
    return tuple(sorted(suspects - {expected.path for expected in _objects(engine)})) if suspects else ()


def _to_be_removed(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(select(Removal.path)).scalars())


def _objects(engine: Engine) -> Sequence[_Expected]:
    with reading(engine) as connection:
        rows = connection.execute(select(Instance.relative_path, Instance.sha256).distinct())
        return [_Expected(path=row.relative_path, sha256=row.sha256) for row in rows]


def _results(engine: Engine, data_dir: Path) -> Sequence[_Expected]:
    with reading(engine) as connection:
        rows = connection.execute(select(ResultObject.path, ResultObject.sha256))
        return [_Expected(path=_below(data_dir, Path(row.path)), sha256=row.sha256) for row in rows]


def _below(data_dir: Path, path: Path) -> str:
    """The path as people see it; one that lies elsewhere stays whole."""
    return str(path.relative_to(data_dir)) if path.is_relative_to(data_dir) else str(path)


def _compare(data_dir: Path, expected: Iterable[_Expected]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths that are missing, paths whose bytes are others."""
    missing, changed = [], []
    for file in expected:
        try:
            found = sha256_of(data_dir / file.path)
        except FileNotFoundError:
            missing.append(file.path)
        except OSError:
            changed.append(file.path)
        else:
            if found != file.sha256:
                changed.append(file.path)
    return tuple(missing), tuple(changed)
