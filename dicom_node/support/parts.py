"""What a support bundle consists of, each part made for itself: one that cannot be made takes no other with it."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from shutil import disk_usage, which

from pydantic_core import to_json
from pysqlite3.dbapi2 import sqlite_version

from config.errors import ConfigError
from config.secrets import shown_value
from config.settings import Settings
from config.toml_text import toml_text
from dicom_node.check import run_checks
from dicom_node.clock import SystemClock
from dicom_node.cluster.driver_log import driver_logs
from dicom_node.index import open_index, open_index_engine
from dicom_node.status import node_status
from dicom_node.support.logs import UNITS, file_lines, journal_lines
from dicom_node.support.scrubbing import Scrubber
from dicom_node.support.units import without_values
from storage.database import reading
from storage.known_words import KnownWords, known_words

_WITHIN_S = 30
_NEWEST_ATTEMPTS = 20
_Source = tuple[str, Callable[[], list[str]]]
"""Name of a part with a log, and what reads its lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePart:
    """One file of the archive."""

    name: str
    what: str
    """What is in it, for people."""
    text: str


def parts_without_settings(error: ConfigError, logs: Sequence[Path]) -> Iterator[BundlePart]:
    """What can be said while the configuration does not load; values are left out, one may be a misplaced password.

    Args:
        error: With its problems.
        logs: Files with its log, beside the journal; nothing says where the index is that they would be compared with.
    """
    problems = "\n".join(f"{problem.key}: {problem.problem}" for problem in error.problems)
    yield BundlePart(
        name="configuration-problems.txt", what="mistakes in the configuration, without values", text=problems
    )
    yield _part("versions.json", "versions of Python, SQLite, the system and every package", _versions)
    yield _part("units.txt", "the units of systemd, with what the site added", _units)
    yield from _scrubbed_parts(_journal_and(logs), None)


def parts_of(settings: Settings, logs: Sequence[Path]) -> Iterator[BundlePart]:
    """Every part.

    Args:
        settings: Of the node, which may be down.
        logs: Files with its log, beside the journal and the logs of failed attempts.
    """
    yield _part("configuration.txt", "every setting as it holds, without secrets", lambda: _configuration(settings))
    yield _part("versions.json", "versions of Python, SQLite, the system and every package", _versions)
    yield _part("check.txt", "what `dicom-node check` says", lambda: _check(settings))
    yield _part(
        "status.json", "what `dicom-node status` says: processes, counts by state, disk", lambda: _status(settings)
    )
    yield _part("database.txt", "integrity and number of rows of each table", lambda: _database(settings))
    yield _part("disk.txt", "room, and number and size of files in each folder", lambda: _disk(settings))
    yield _part("units.txt", "the units of systemd, with what the site added", _units)
    yield from _logs(settings, logs)


def _part(name: str, what: str, make: Callable[[], str]) -> BundlePart:
    try:
        text = make()
    except Exception as error:  # noqa: BLE001  # whatever a broken node raises, the other parts are made
        # The class alone: the text of a foreign error may quote a value.
        text = f"could not be made: {type(error).__name__}"
    return BundlePart(name=name, what=what, text=text + "\n")


def _configuration(settings: Settings) -> str:
    return "\n".join(_settings_lines("", settings.model_dump(mode="json")))


def _settings_lines(prefix: str, values: dict[str, object]) -> Iterator[str]:
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _settings_lines(name, value)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, one in enumerate(value, 1):
                yield from _settings_lines(f"{name} #{number}", one)
        else:
            yield f"{name} = {toml_text(shown_value(key, value))}"


def _versions() -> str:
    packages = {found.metadata["Name"]: found.version for found in distributions() if found.metadata["Name"]}
    return json.dumps(
        {
            "dicom-node": packages.get("dicom-node", ""),
            "python": sys.version,
            "system": platform.platform(),
            "sqlite": sqlite_version,
            "packages": dict(sorted(packages.items())),
        },
        indent=2,
    )


def _check(settings: Settings) -> str:
    lines = []
    try:
        for result in run_checks(settings):
            lines.append(f"{result.outcome}  {result.subject}: {result.detail}")
    except Exception as error:  # noqa: BLE001  # what was checked before is kept
        lines.append(f"the check ended early: {type(error).__name__}")
    return "\n".join(lines)


def _status(settings: Settings) -> str:
    return to_json(node_status(settings, open_index(settings), clock=SystemClock()), indent=2).decode()


def _database(settings: Settings) -> str:
    engine = open_index_engine(settings)
    with reading(engine) as connection:
        lines = [f"engine: {engine.dialect.name}"]
        if engine.dialect.name == "sqlite":
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
            # Of a damaged one only how much is wrong: the words may quote what is in a row.
            lines.append(f"integrity: {'ok' if found == ['ok'] else f'{len(found)} findings'}")
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        lines.append(f"form: {version}")
        for table in _tables():
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            lines.append(f"{table}: {count} rows")
    return "\n".join(lines)


def _tables() -> list[str]:
    return ["study", "series", "instance", "attempt", "result", "result_file", "delivery", "history", "removal"]


def _disk(settings: Settings) -> str:
    usage = disk_usage(settings.data_dir)
    lines = [f"{settings.data_dir}: {usage.free} of {usage.total} bytes free"]
    for folder in sorted(path for path in settings.data_dir.iterdir() if path.is_dir()):
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        lines.append(f"{folder.name}/: {len(files)} files, {sum(files)} bytes")
    return "\n".join(lines)


def _units() -> str:
    program = which("systemctl")
    if program is None:
        return "systemctl is not installed"
    done = subprocess.run(
        [program, "cat", "--no-pager", *UNITS], capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    return without_values(done.stdout) or "no unit of dicom-node is installed"


def _logs(settings: Settings, logs: Sequence[Path]) -> Iterator[BundlePart]:
    """The journal, the logs of failed attempts and of the driver of a cluster, and named files, each scrubbed."""
    attempts = _newest_attempts(settings.data_dir / "failed-attempts")
    sources = [*_journal_and(logs), *_named("failed-attempt", attempts, first=len(logs) + 1)]
    sources += [(f"logs/{path.name}.txt", partial(file_lines, path)) for path in driver_logs(settings.data_dir)]
    return _scrubbed_parts(sources, _known(settings))


def _journal_and(logs: Sequence[Path]) -> list[_Source]:
    return [("logs/journal.txt", journal_lines), *_named("file", logs, first=1)]


def _named(kind: str, paths: Sequence[Path], *, first: int) -> Iterator[_Source]:
    return ((f"logs/{kind}-{number}.txt", partial(file_lines, path)) for number, path in enumerate(paths, first))


def _scrubbed_parts(sources: Sequence[_Source], known: KnownWords | None) -> Iterator[BundlePart]:
    for name, read in sources:
        yield _part(name, _log_words(known), lambda read=read: _scrubbed(read(), known))  # type: ignore[misc]


def _newest_attempts(folder: Path) -> list[Path]:
    """The logs of the attempts that failed last, oldest first; each has the number of its attempt as its name."""
    numbered = [path for path in folder.glob("*.log") if path.stem.isdecimal()]
    return sorted(numbered, key=lambda path: int(path.stem))[-_NEWEST_ATTEMPTS:]


def _known(settings: Settings) -> KnownWords | None:
    """What the index knows; None where it cannot be read."""
    try:
        return known_words(open_index_engine(settings))
    except Exception:  # noqa: BLE001  # without it the logs are made all the same, which says so
        return None


def _log_words(known: KnownWords | None) -> str:
    if known is None:
        return "log; THE INDEX COULD NOT BE READ, so nothing was compared with it: look through it before you send it"
    return "log, without what the index knows as a name or an identifier"


def _scrubbed(lines: list[str], known: KnownWords | None) -> str:
    scrubber = Scrubber(known or KnownWords(words=frozenset(), study_instance_uids=frozenset()))
    passed = scrubber.lines(lines)
    return "\n".join([*passed, f"({scrubber.left_out} lines left out that are not of this node's log)"])
