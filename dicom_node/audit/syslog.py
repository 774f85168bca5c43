"""Brings the audit trail to a syslog server, by RFC 5424 over TLS with the octet counting of RFC 5425 (PS3.15 A.6).

What waits for the server is the trail itself: nothing is lost while it cannot be reached, and nobody waits for it.
"""

import logging
import os
import re
import socket
import ssl
from itertools import islice
from pathlib import Path

from config.audit import AuditSettings
from dicom_node.audit.chain import Line
from dicom_node.audit.reading import ReadLine, lines_behind, note_shipped, shipped_position
from dicom_node.audit.tls_connection import TlsConnection
from dicom_node.clock import Clock
from dicom_node.tls.contexts import CIPHERS_1_2

logger = logging.getLogger(__name__)

_BATCH = 200
"""Messages of one connection: its orderly end is the only sign that the server has read them (RFC 5425 4.4)."""
_TIMEOUT_S = 10.0
_FIRST_WAIT_S = 2.0
_MAXIMUM_WAIT_S = 60.0

# RFC 5424 6.2.1: facility 10, security; severity 5, notice, and 4, warning, for what failed (PS3.15 A.6).
_SUCCESS, _FAILURE = 10 * 8 + 5, 10 * 8 + 4
_MESSAGE_ID = "DICOM+RFC3881"
_INSTANT = re.compile(r'EventDateTime="([^"]+)"')
# RFC 5424 6: HOSTNAME is printable US-ASCII without spaces.
_NOT_IN_HOSTNAME = re.compile(r"[^\x21-\x7e]")


def frame_of(line: Line, *, hostname: str, process_id: int) -> bytes:
    """A line of the trail as syslog frame: its number goes along, so that the receiver knows what it got twice."""
    instant = _INSTANT.search(line.message)
    has_failed = 'EventOutcomeIndicator="0"' not in line.message
    header = (
        f"<{_FAILURE if has_failed else _SUCCESS}>1 {instant[1] if instant else '-'} "
        f"{_NOT_IN_HOSTNAME.sub('?', hostname)[:255] or '-'} dicom-node {process_id} {_MESSAGE_ID} "
        f'[meta sequenceId="{line.number}"] '
    )
    # RFC 5424 6.4: a MSG in UTF-8 begins with the byte order mark.
    message = f'{header}\ufeff<?xml version="1.0" encoding="UTF-8"?>{line.message}'.encode()
    return str(len(message)).encode() + b" " + message


class SyslogShipper:
    """Sends what the server does not have yet; how far it has it is in a file, so a restart goes on."""

    def __init__(self, audit: AuditSettings, folder: Path, *, clock: Clock) -> None:
        """Ship the trail of a folder."""
        self._audit = audit
        self._folder = folder
        self._clock = clock
        self._wait_s = 0.0
        self._next_try_at_s = 0.0

    def ship_due(self) -> int:
        """Send what waits, unless the server is to be left alone; returns how many messages it took."""
        if self._clock.monotonic() < self._next_try_at_s:
            return 0
        shipped = 0
        try:
            while batch := list(islice(lines_behind(self._folder, shipped_position(self._folder)), _BATCH)):
                self._send(batch)
                note_shipped(self._folder, batch[-1].behind)
                shipped += len(batch)
        except OSError as error:
            self._put_off(error)
            return shipped
        if shipped and self._wait_s:
            logger.info("the syslog server %s takes the audit trail again", self._audit.syslog_host)
        self._wait_s = 0.0
        return shipped

    def _put_off(self, error: OSError) -> None:
        said = getattr(error, "verify_message", "") or error.strerror or type(error).__name__
        if not self._wait_s:
            logger.warning("the syslog server %s does not take the audit trail: %s", self._audit.syslog_host, said)
        self._wait_s = min(max(_FIRST_WAIT_S, 2 * self._wait_s), _MAXIMUM_WAIT_S)
        self._next_try_at_s = self._clock.monotonic() + self._wait_s

    def _send(self, batch: list[ReadLine]) -> None:
        """Bring a batch over one connection; OSError unless the server ended it in an orderly way."""
        audit, hostname = self._audit, socket.gethostname()
        frames = b"".join(frame_of(one.line, hostname=hostname, process_id=os.getpid()) for one in batch)
        with socket.create_connection((audit.syslog_host, audit.syslog_port), timeout=_TIMEOUT_S) as plain:
            connection = TlsConnection(plain, _context(audit), audit.syslog_server_name or audit.syslog_host)
            connection.send(frames)
            connection.end()


def _context(audit: AuditSettings) -> ssl.SSLContext:
    """TLS as RFC 9325 demands it; OSError where a file cannot be used."""
    context = ssl.create_default_context(cafile=audit.syslog_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_1_2)
    if audit.syslog_certificate:
        context.load_cert_chain(audit.syslog_certificate, audit.syslog_key)
    return context
