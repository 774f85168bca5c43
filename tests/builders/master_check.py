"""What must hold after every fault: nothing acknowledged is lost, nothing is there twice, nothing half is left."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pysqlite3.dbapi2 as sqlite

from builders.engines import server_url
from builders.ledger_scp import LedgerScp
from builders.listener import data_set_bytes, sha256
from builders.sender_ledger import SenderLedger

Rows: TypeAlias = list[tuple[Any, ...]]

_LEFTOVERS = ("incoming/*", "**/*.part", "**/*.partial", "jobs/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How much the master check looked at."""

    objects: int
    studies_delivered: int
    result_objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a process holds."""

    threads: int
    descriptors: int


def footprint(pid: int) -> Footprint:
    """Threads and open descriptors of a process (proc(5))."""
    process = Path(f"/proc/{pid}")
    return Footprint(threads=len(list(process.glob("task/*"))), descriptors=len(list(process.glob("fd/*"))))


def master_check(
    data_dir: Path, sent: SenderLedger, pacs: LedgerScp | None = None, *, database_url: str = ""
) -> Checked:
    """Fail unless every promise holds for what was sent, what is stored and what a PACS got.

    The node may run; it must have come to rest, and what was not acknowledged must have been sent again.

    Args:
        data_dir: Of the node.
        sent: What was acknowledged.
        pacs: That got the results; None where no worker ran.
        database_url: Of the index on PostgreSQL; empty: where the run of the tests has it.
    """
    database_url = database_url or server_url(data_dir)
    assert sent.acknowledged, "the check looked at no object"
    query = partial(_query_server, database_url) if database_url else partial(_query_file, data_dir)
    rows = query("SELECT sop_instance_uid, sha256, relative_path, size_bytes FROM instance")
    _check_objects(data_dir, sent, rows)
    _check_folder(data_dir, rows)
    if not database_url:
        assert query("PRAGMA integrity_check") == [("ok",)]
        assert query("PRAGMA foreign_key_check") == []
    studies, results = _check_results(query, pacs) if pacs else (0, 0)
    return Checked(objects=len(sent.acknowledged), studies_delivered=studies, result_objects=results)


def _query_file(data_dir: Path, statement: str) -> Rows:
    """Rows of the index, read beside the node and not through its code."""
    with closing(sqlite.connect(f"file:{data_dir / 'index.sqlite'}?mode=ro", uri=True)) as connection:
        return list(connection.execute(statement))


def _query_server(database_url: str, statement: str) -> Rows:
    """The same on a server."""
    with psycopg.connect(database_url.replace("+psycopg", "", 1)) as connection:
        return connection.execute(statement).fetchall()


def _check_objects(data_dir: Path, sent: SenderLedger, rows: Rows) -> None:
    """Each acknowledged object is on disk, with the bytes that were sent, and indexed once."""
    by_uid: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        by_uid[row[0]].append(row)
    for uid, digest in sent.acknowledged.items():
        assert len(by_uid[uid]) == 1, f"{uid} is in the index {len(by_uid[uid])} times"
        _, indexed, relative_path, size_bytes = by_uid[uid][0]
        path = data_dir / relative_path
        assert sha256(path) == indexed == path.stem, f"{uid} has other bytes than its row says"
        assert path.stat().st_size == size_bytes
        assert hashlib.sha256(data_set_bytes(path)).hexdigest() == digest, f"{uid} has other bytes than were sent"


def _check_folder(data_dir: Path, rows: Rows) -> None:
    """Files and rows are the same set; nothing half is left."""
    on_disk = {str(path.relative_to(data_dir)) for path in data_dir.glob("objects/*/*")}
    in_index = {row[2] for row in rows}
    assert not in_index - on_disk, "rows without files"
    assert not on_disk - in_index, "files without rows"
    left = [path for pattern in _LEFTOVERS for path in data_dir.glob(pattern)]
    assert not left, f"left over: {left}"


def _check_results(query: Callable[[str], Rows], pacs: LedgerScp) -> tuple[int, int]:
    """Each study that was delivered has one result for each revision, and the PACS each of its objects once."""
    results = query(
        "SELECT study.study_instance_uid, result.revision FROM result JOIN study ON study.id = result.study_id",
    )
    assert not [key for key, count in Counter(results).items() if count > 1], "two results of one revision"
    delivered: dict[str, set[str]] = defaultdict(set)
    for study, uid in query(
        "SELECT study.study_instance_uid, result_file.sop_instance_uid FROM delivery"
        " JOIN study ON study.id = delivery.study_id JOIN result_file ON result_file.id = delivery.result_file_id"
        " WHERE delivery.state = 'delivered'",
    ):
        delivered[study].add(uid)
    assert delivered, "the check looked at no result"
    for study, uids in delivered.items():
        contents = pacs.contents_of(study)
        assert contents.keys() >= uids, f"{study}: said to be delivered and not in the PACS"
        assert not contents.keys() - uids, f"{study}: in the PACS, and the index does not know it"
        assert all(len(hashes) == 1 for hashes in contents.values()), f"{study}: a resend with other bytes"
    return len(delivered), sum(map(len, delivered.values()))
