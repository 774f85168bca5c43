"""A talkative node among peers that quote patients, and everything that it says to anybody."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    SegmentationStorage,
    Verification,
)

from builders.canaries import MARK, put_canaries
from builders.certificates import Authority
from builders.instances import ct_instance
from builders.node import Destination, NodeProcess
from builders.ports import free_port
from builders.scripted_archive import Script, scripted_archive, series_answer, study_answer
from builders.syslog_server import SyslogServer, syslog_server

_RESULTS = (ComprehensiveSRStorage, EnhancedSRStorage, SegmentationStorage, EncapsulatedPDFStorage)
_LARGEST_ENTRY_BYTES = 1 << 20

_TO_THE_JOURNAL = (
    "import sys; from pathlib import Path; from dicom_node import log; log.SOCKET = Path(sys.argv.pop(1)); "
    "from dicom_node.cli import main; main()"
)
"""The node with its journal elsewhere: the place of the real one is no test's to take."""


class TalkativeNode(NodeProcess):
    """At debug level; a part of it can speak to a journal."""

    def start_with_journal(self, part: str, socket_path: Path) -> None:
        """Start a part as systemd does: its stderr is known to be the journal's."""
        with (self.folder / f"{part}-journal.log").open("ab") as log:
            known = os.fstat(log.fileno())
            environment = os.environ | {"JOURNAL_STREAM": f"{known.st_dev}:{known.st_ino}"}
            command = [sys.executable, "-c", _TO_THE_JOURNAL, str(socket_path), "--config", str(self.config_path), part]
            self._running[part] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def log_files(self) -> dict[str, bytes]:
        """What every process and every failed attempt wrote."""
        paths = [*self.folder.glob("*.log"), *(self.data_dir / "failed-attempts").glob("*")]
        return {f"log {path.name}": path.read_bytes() for path in paths}


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """Who hears from the node, and what they heard."""

    configuration: str
    destinations: tuple[Destination, ...]
    syslog: SyslogServer
    archive: Script
    mails: list[bytes] = field(default_factory=list)
    webhooks: list[bytes] = field(default_factory=list)


@contextmanager
def surroundings(folder: Path, *, web_port: int) -> Iterator[Surroundings]:
    """Mail server, web server, syslog server, two PACS that quote the patient, one that is down."""
    authority = Authority(folder / "ca")
    mail_port, mails, webhooks = free_port(), list[bytes](), list[bytes]()
    script = Script(studies=[_found_study()], series=[_found_series()])
    with ExitStack() as stack:
        stack.enter_context(_mail_server(authority, mail_port, mails))
        hook_port = stack.enter_context(_webhook(webhooks))
        refusing_port = stack.enter_context(_refusing_pacs())
        archive = stack.enter_context(scripted_archive(script))
        syslog = stack.enter_context(syslog_server(authority.issue("syslog")))
        ca = authority.certificate
        yield Surroundings(
            configuration=_more_settings(ca, web_port=web_port, mail_port=mail_port, hook_port=hook_port)
            + _syslog_settings(ca, syslog.port),
            destinations=(
                Destination(name="refusing", ae_title="REFUSING", port=refusing_port),
                Destination(name="down", ae_title="DOWN", port=free_port()),
                Destination(name="archive", ae_title="ARCHIVE", port=archive.port, query_retrieve="move"),
            ),
            syslog=syslog,
            archive=script,
            mails=mails,
            webhooks=webhooks,
        )


@contextmanager
def journal(path: Path) -> Iterator[list[bytes]]:
    """A journal at a socket; its entries as they came."""
    entries: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        thread = threading.Thread(target=_drain, args=(listening, entries))
        thread.start()
        try:
            yield entries
        finally:
            listening.shutdown(socket.SHUT_RD)
            thread.join(10)


def _drain(listening: socket.socket, entries: list[bytes]) -> None:
    while entry := listening.recv(_LARGEST_ENTRY_BYTES):
        entries.append(entry)


def _found_study() -> Dataset:
    """What a PACS says of an earlier study of whomever it is asked about."""
    image = ct_instance(1, study="1.2.826.9")
    put_canaries(image)
    answer = study_answer([image], StudyDate="20240301", PatientSex="")
    answer.PatientComments = f"{MARK}FIND"
    return answer


def _found_series() -> Dataset:
    image = ct_instance(1, study="1.2.826.9", SeriesDescription=f"{MARK}FIND CHEST")
    return series_answer([image])


def _more_settings(ca: Path, *, web_port: int, mail_port: int, hook_port: int) -> str:
    return (
        '[log]\nlevel = "DEBUG"\n'
        f"[web]\nenabled = true\nport = {web_port}\nlogin = true\n"
        f'[alerts]\nmail_host = "localhost"\nmail_port = {mail_port}\nmail_ca = "{ca}"\n'
        'mail_from = "node@example.org"\nmail_to = ["admin@example.org"]\n'
        f'webhook_url = "http://127.0.0.1:{hook_port}/"\ndestination_down_minutes = 0.001\n'
    )


def _syslog_settings(ca: Path, port: int) -> str:
    return f'[audit]\nsyslog_host = "localhost"\nsyslog_port = {port}\nsyslog_ca = "{ca}"\n'


class _Mailbox:
    """Keeps what it is given."""

    def __init__(self, mails: list[bytes]) -> None:
        """Into this list."""
        self._mails = mails

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802  # aiosmtpd's name
        """Take a mail."""
        self._mails.append(envelope.content)  # type: ignore[attr-defined]  # of aiosmtpd
        return "250 OK"


@contextmanager
def _mail_server(authority: Authority, port: int, mails: list[bytes]) -> Iterator[None]:
    identity = authority.issue("mail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    server = Controller(_Mailbox(mails), hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True)
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def _webhook(taken: list[bytes]) -> Iterator[int]:
    """A web server that takes alerts; its port."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            taken.append(str(self.headers).encode() + self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


@contextmanager
def _refusing_pacs() -> Iterator[int]:
    """A PACS that refuses every result and names the patient in its Error Comment (PS3.7 C.4.3); its port."""
    ae = AE(ae_title="REFUSING")
    for uid in (Verification, *_RESULTS):
        ae.add_supported_context(uid)

    def handle_store(_: Event) -> Dataset:
        answer = Dataset()
        answer.Status, answer.ErrorComment = 0xA900, f"{MARK}^REFUSED"
        return answer

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle_store)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
