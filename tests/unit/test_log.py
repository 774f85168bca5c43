"""The log: one line per event, never patient data."""

import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from builders.ports import free_port
from config.settings import LogSettings, Peer
from dicom_node.calling import PeerUnreachableError
from dicom_node.log import failure_in_short, setup_logging
from dicom_node.peers import echo

CANARY = "19700101x"
QUOTING = ("pydicom", "pynetdicom", "highdicom", "pylibjpeg", "libjpeg", "openjpeg", "py.warnings")
LIBRARIES = (*QUOTING, "alembic", "apscheduler")


class Written:
    """Everything written to stderr so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Read from pytest's capture."""
        self._capsys = capsys
        self._text = ""

    def text(self) -> str:
        """All of it, from the start."""
        self._text += self._capsys.readouterr().err
        return self._text


def refuse(value: str) -> None:
    """Raise with a value in the text, as libraries do."""
    raise ValueError(value)


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """What goes to stderr; puts the process's logging back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root.handlers = []
    yield Written(capsys)
    root.handlers, root.level = handlers, level
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(logging.NOTSET)


def test_warning_of_pydicom_shows_no_value(log: Written) -> None:
    """pydicom quotes the bad value; the log names only the place."""
    setup_logging(LogSettings())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        Dataset().PatientBirthDate = CANARY
    assert CANARY not in log.text()
    assert "UserWarning at " in log.text()


@pytest.mark.parametrize("name", ["pydicom", "pynetdicom.transport"])
def test_message_of_a_library_shows_no_value(log: Written, name: str) -> None:
    """Whatever a DICOM library says, only that it spoke is logged."""
    setup_logging(LogSettings(level="DEBUG"))
    logging.getLogger(name).error("Invalid value %s", CANARY)
    logging.getLogger(name).info("Received %s", CANARY)
    assert CANARY not in log.text()
    assert len(log.text().splitlines()) == 1
    assert name in log.text()


def test_exception_shows_no_text(log: Written) -> None:
    """A logged exception is its class and where it came through."""
    setup_logging(LogSettings())
    try:
        refuse(CANARY)
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert CANARY not in log.text()
    assert "[ValueError < test_log.py:" in log.text()


def test_dying_thread_shows_no_text(log: Written) -> None:
    """A thread that ends with an exception leaves its class and place."""
    setup_logging(LogSettings())
    thread = threading.Thread(target=int, args=(CANARY,), name="t1")
    thread.start()
    thread.join()
    assert CANARY not in log.text()
    assert "thread t1 ended: ValueError" in log.text()


def test_event_is_one_line_whatever_it_holds(log: Written) -> None:
    """Line ends and terminal escapes from a peer cannot forge a line."""
    setup_logging(LogSettings())
    logging.getLogger("x").warning("caller %s", "A\r\nB\x1b[31m\u2028C" + "y" * 5000)
    assert len(log.text().splitlines()) == 1
    assert "A\\x0d\\x0aB\\x1b[31m\\u2028C" in log.text()
    assert len(log.text()) < 2200


def test_json_has_one_object_a_line(log: Written) -> None:
    """Collectors find instant, level, logger, message."""
    setup_logging(LogSettings(format="json"))
    logging.getLogger("x").info("stored %d", 3)
    line = json.loads(log.text())
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "x", "stored 3")
    assert line["at"].endswith("Z")


def test_routine_of_libraries_is_not_logged(log: Written) -> None:
    """The scheduler runs jobs every second; that is no news."""
    setup_logging(LogSettings())
    logging.getLogger("apscheduler.executors.default").info("Running job")
    assert not log.text()


def test_level_is_kept(log: Written) -> None:
    """What is below the configured level is not written."""
    setup_logging(LogSettings(level="ERROR"))
    logging.getLogger("x").warning("quiet")
    assert not log.text()


def test_failure_in_short_names_the_frames() -> None:
    """The innermost frame comes first."""
    try:
        refuse(CANARY)
    except ValueError as error:
        short = failure_in_short(type(error), error.__traceback__)
    assert short.startswith("ValueError < test_log.py:")


def test_a_peer_that_is_not_there_is_no_message_of_a_library(log: Written) -> None:
    """Whoever called says which peer and why; pynetdicom's own lines would only name their place."""
    setup_logging(LogSettings())
    peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=free_port())
    with pytest.raises(PeerUnreachableError):
        echo(peer, own_aet="NODE")
    assert not log.text()
