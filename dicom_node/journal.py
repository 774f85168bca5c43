"""Speaks to the systemd journal by its own protocol, so that fields of a log line can be searched.

systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram an entry. It is spoken here rather than by systemd-python, which must be
compiled against the headers of libsystemd on the node.
"""

import hashlib
import logging
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
_IDENTIFIER = "dicom-node"
_HASH_DIGITS = 16

CALLING_AET = "calling_aet"
"""Attribute of a log record (`extra=`): AE title of the peer that it is about."""
STUDY = "study_instance_uid"
"""Attribute of a log record: the study that it is about; the journal gets a hash of it (`study_hash`)."""

# syslog(3) levels.
_SYSLOG = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))


def study_hash(study_instance_uid: str) -> str:
    """A study as logs name it: a UID leads to a patient in every archive, the hash only where the UID is known."""
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:_HASH_DIGITS]


def priority_of(level: int) -> int:
    """Level of syslog(3) for a level of Python."""
    return next(number for bound, number in _SYSLOG if level >= bound)


class JournalHandler(logging.Handler):
    """Sends each record as an entry with fields; what the journal does not take goes to stderr."""

    def __init__(self, address: Path, formatter: logging.Formatter) -> None:
        """Send to the socket of the journal.

        Args:
            address: Of the socket.
            formatter: Makes the one line of MESSAGE.

        Raises:
            OSError: Nobody listens there.
        """
        super().__init__()
        self.setFormatter(formatter)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(str(address))
        except OSError:
            self._socket.close()
            raise
        self._address = address
        self._otherwise = logging.StreamHandler()
        self._otherwise.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; a journal that was started anew is connected to again."""
        entry = encode_entry(_fields(record, self.format(record)))
        try:
            self._send(entry)
        except OSError:
            self._otherwise.emit(record)

    def close(self) -> None:
        """Close the socket; may be called again."""
        self._socket.close()
        super().close()

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.send(entry)
        except OSError:
            # A journal that was started anew has another socket at the same place.
            self._socket.connect(str(self._address))
            self._socket.send(entry)


def encode_entry(fields: Mapping[str, str]) -> bytes:
    """The datagram of an entry: KEY=value a line; a value of several lines has its length in front."""
    return b"".join(_encoded(key, value.encode(errors="surrogateescape")) for key, value in fields.items())


def _encoded(key: str, value: bytes) -> bytes:
    if b"\n" in value:
        return key.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return key.encode() + b"=" + value + b"\n"


def _fields(record: logging.LogRecord, message: str) -> dict[str, str]:
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(priority_of(record.levelno)),
        "SYSLOG_IDENTIFIER": _IDENTIFIER,
        "SYSLOG_PID": str(os.getpid()),
        "LOGGER": record.name,
        "THREAD_NAME": record.threadName or "",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    if aet := getattr(record, CALLING_AET, ""):
        fields["DICOM_CALLING_AET"] = str(aet)
    if uid := getattr(record, STUDY, ""):
        fields["DICOM_STUDY_HASH"] = study_hash(str(uid))
    return fields
