"""Entries in the journal of systemd."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.journal import JournalSocket, journal_socket
from config.settings import LogSettings
from dicom_node import journal, log
from dicom_node.journal import JournalHandler, encode_entry, study_hash

logger = logging.getLogger("dicom_node.listen.server")


@pytest.fixture
def system_journal(tmp_path: Path) -> Iterator[JournalSocket]:
    """A journal that takes entries."""
    with journal_socket(tmp_path / "socket") as taking:
        yield taking


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    """The process's logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level


@pytest.fixture
def logging_to(
    system_journal: JournalSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JournalSocket]:
    """A service whose stderr systemd connected to the journal."""
    monkeypatch.setattr(log, "quieten_libraries", lambda: None)
    monkeypatch.setattr(log, "SOCKET", system_journal.path)
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        status = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        log.setup_logging(LogSettings())
        yield system_journal


def test_an_entry_has_fields_that_can_be_searched(logging_to: JournalSocket) -> None:
    """Priority, place in the code, AE title; the study by a hash alone."""
    logger.warning("refused %s", "it", extra={journal.CALLING_AET: "CT1", journal.STUDY: "1.2.840.77"})
    entry = logging_to.entry()
    assert (entry["MESSAGE"], entry["PRIORITY"], entry["LOGGER"]) == ("refused it", "4", logger.name)
    assert (entry["CODE_FUNC"], Path(entry["CODE_FILE"]).name) == (
        "test_an_entry_has_fields_that_can_be_searched",
        "test_journal.py",
    )
    assert int(entry["CODE_LINE"]) > 0
    assert (entry["SYSLOG_IDENTIFIER"], entry["DICOM_CALLING_AET"]) == ("dicom-node", "CT1")
    assert entry["DICOM_STUDY_HASH"] == study_hash("1.2.840.77")
    assert "1.2.840.77" not in str(entry)


def test_a_message_cannot_forge_a_field(logging_to: JournalSocket) -> None:
    """Line ends in the message are escaped, those in a field have a length in front."""
    logger.info("a\nPRIORITY=0", extra={journal.CALLING_AET: "X\nPRIORITY=0"})
    entry = logging_to.entry()
    assert (entry["MESSAGE"], entry["PRIORITY"]) == ("a\\x0aPRIORITY=0", "6")
    assert entry["DICOM_CALLING_AET"] == "X\nPRIORITY=0"


def test_an_exception_shows_no_text(logging_to: JournalSocket) -> None:
    """Its class and where it came from are told."""
    try:
        int("Doe^Jane")
    except ValueError:
        logger.exception("it failed")
    entry = logging_to.entry()
    assert "ValueError" in entry["MESSAGE"]
    assert "Jane" not in str(entry)


def test_a_journal_that_was_started_anew_is_found_again(logging_to: JournalSocket, tmp_path: Path) -> None:
    """What came while it was away is on stderr."""
    logging_to.close()
    logger.warning("while it was away")
    assert "while it was away" in (tmp_path / "stderr").read_text()
    with journal_socket(logging_to.path) as again:
        logger.warning("back")
        assert again.entry()["MESSAGE"] == "back"


def test_without_a_journal_lines_go_to_stderr_with_their_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sd-daemon(3) has it."""
    with pytest.raises(OSError, match="No such file"):
        JournalHandler(tmp_path / "nobody", logging.Formatter())
    monkeypatch.setattr(log, "SOCKET", tmp_path / "nobody")
    monkeypatch.setattr(log, "quieten_libraries", lambda: None)
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        status = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        log.setup_logging(LogSettings())
        logger.error("down")
    assert (tmp_path / "stderr").read_text() == f"<3>{logger.name}: down\n"


def test_encoding_is_that_of_the_protocol() -> None:
    """Byte for byte as systemd.io has it."""
    assert encode_entry({"A": "b", "C": "d\ne"}) == b"A=b\nC\n\x03\0\0\0\0\0\0\0d\ne\n"
