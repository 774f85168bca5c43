"""Alerts on their way: a real mail server with TLS and login, a real web server."""

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from typer.testing import CliRunner

from builders.certificates import Authority
from builders.clock import FakeClock
from builders.index import build_index, database_url
from builders.ports import free_port
from config.alerts import AlertsSettings
from config.settings import NodeSettings, Settings
from dicom_node.alerts.channels import SIGNATURE
from dicom_node.alerts.duty import AlertWatch
from dicom_node.cli.app import app
from storage.database import open_engine


class Mailbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        """Empty."""
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802  # aiosmtpd's name
        """Take a mail."""
        self.mails.append(envelope.content)
        return "250 OK"


def mail_server(folder: Path, port: int, box: Mailbox) -> Controller:
    """A server that takes mail only by STARTTLS from who knows the password."""
    authority = Authority(folder / "ca")
    identity = authority.issue("mail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)

    def check(_server: object, _session: object, _envelope: object, _mechanism: str, said: object) -> AuthResult:
        return AuthResult(success=(said.login, said.password) == (b"node", b"s3cret"))

    return Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=check,
    )


def watch(folder: Path, **alerts: object) -> AlertWatch:
    """A node with one alert that waits to be told."""
    clock = FakeClock()
    build_index(folder, clock).close()
    one = Settings(node=NodeSettings(data_dir=folder), alerts=AlertsSettings(**alerts))
    made = AlertWatch(one, open_engine(database_url(folder)), clock=clock)
    made.ledger.settle({"destination down: pacs": "pacs cannot be reached"}, channels=one.alerts.channels)
    return made


def mail_settings(folder: Path, port: int, password: str = "s3cret") -> dict[str, object]:
    """How to reach the mail server."""
    (folder / "password").write_text(f"{password}\n", encoding="utf-8")
    return {
        "mail_host": "localhost",
        "mail_port": port,
        "mail_user": "node",
        "mail_password_file": folder / "password",
        "mail_ca": folder / "ca" / "ca.pem",
        "mail_from": "node@example.org",
        "mail_to": ("admin@example.org",),
    }


def test_mail_waits_for_its_server_and_comes_once(tmp_path: Path) -> None:
    """Down at first, then a wrong password, then right."""
    port, box = free_port(), Mailbox()
    server = mail_server(tmp_path, port, box)
    seen = watch(tmp_path, **mail_settings(tmp_path, port))
    assert seen.tell("mail") == 0
    server.start()
    try:
        (tmp_path / "password").write_text("wrong", encoding="utf-8")
        assert (seen.tell("mail"), box.mails) == (0, [])
        (tmp_path / "password").write_text("s3cret", encoding="utf-8")
        assert (seen.tell("mail"), seen.tell("mail")) == (1, 0)
    finally:
        server.stop()
    (mail,) = (message_from_bytes(raw, policy=policy.default) for raw in box.mails)
    assert mail["Subject"] == "[dicom-node DICOMNODE] destination down: pacs"
    assert "pacs cannot be reached" in mail.get_content()


def test_mail_server_with_a_foreign_certificate_gets_no_password(tmp_path: Path) -> None:
    """Nothing is sent where TLS is not what it should be."""
    port, box = free_port(), Mailbox()
    server = mail_server(tmp_path, port, box)
    said = mail_settings(tmp_path, port) | {"mail_ca": Authority(tmp_path / "other").certificate}
    server.start()
    try:
        assert watch(tmp_path, **said).tell("mail") == 0
    finally:
        server.stop()
    assert box.mails == []


class Hook(BaseHTTPRequestHandler):
    """Fails the first request, takes those after it."""

    taken: list[tuple[str, bytes]]
    brought: list[dict[str, object]]
    redirects: bool
    failures: int

    def do_POST(self) -> None:  # the library's name
        """Take an alert."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.brought.append(json.loads(body))
        if server.redirects:
            self.send_response(302)
            self.send_header("Location", "/login")
            self.end_headers()
            return
        if server.failures:
            server.failures -= 1
            self.send_error(503)
            return
        server.taken.append((self.headers[SIGNATURE], body))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:  # the library's name
        """A page for people, where a redirect leads."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    """A web server."""
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.taken, server.brought, server.failures, server.redirects = [], [], 1, False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def test_webhook_is_signed_and_repeated_until_it_is_taken(tmp_path: Path, hook: HTTPServer) -> None:
    """The receiver can tell who sent it."""
    (tmp_path / "secret").write_text("k\n", encoding="utf-8")
    url = f"http://127.0.0.1:{hook.server_port}/hook"
    seen = watch(tmp_path, webhook_url=url, webhook_key_file=tmp_path / "secret")
    assert [seen.tell("webhook") for _ in range(3)] == [0, 1, 0]
    ((signature, body),) = hook.taken
    assert signature == "sha256=" + hmac.new(b"k", body, hashlib.sha256).hexdigest()
    found = json.loads(body)
    assert (found["state"], found["subject"], found["node"]) == ("begun", "destination down: pacs", "DICOMNODE")


def test_webhook_gets_an_id_that_a_repeated_message_shares_and_no_other_has(tmp_path: Path, hook: HTTPServer) -> None:
    """Also after the message before was taken and is in the index no more."""
    seen = watch(tmp_path, webhook_url=f"http://127.0.0.1:{hook.server_port}/hook")
    assert [seen.tell("webhook") for _ in range(2)] == [0, 1]
    seen.ledger.settle({"disk": "is full"}, channels=["webhook"])
    assert seen.tell("webhook") == 2
    failed, again, *others = [message["id"] for message in hook.brought]
    assert failed == again
    assert len({again, *others}) == 3


def test_an_alert_that_is_answered_by_a_redirect_waits(tmp_path: Path, hook: HTTPServer) -> None:
    """A login page that answers 200 has taken nothing."""
    hook.redirects, hook.failures = True, 0
    seen = watch(tmp_path, webhook_url=f"http://127.0.0.1:{hook.server_port}/hook")
    assert (seen.tell("webhook"), hook.taken) == (0, [])
    hook.redirects = False
    assert seen.tell("webhook") == 1


@pytest.mark.parametrize("password", ["Käse-und-Brot-12".encode(), "Käse".encode("latin-1")])
def test_a_password_that_smtp_cannot_send_is_named_and_loses_no_alert(tmp_path: Path, password: bytes) -> None:
    """`alerts test` says what to do, without the password; what waits goes on waiting."""
    port, box = free_port(), Mailbox()
    server = mail_server(tmp_path, port, box)
    said = mail_settings(tmp_path, port)
    (tmp_path / "password").write_bytes(password)
    config = tmp_path / "node.toml"
    lines = [f"{key} = {json.dumps(value, default=str)}" for key, value in said.items()]
    config.write_text("\n".join([f'[node]\ndata_dir = "{tmp_path}"', "[alerts]", *lines]))
    server.start()
    try:
        assert watch(tmp_path, **said).tell("mail") == 0
        done = CliRunner().invoke(app, ["--config", str(config), "alerts", "test"])
    finally:
        server.stop()
    assert done.exit_code == 1
    assert "mail: not taken: " in done.output
    assert "must be ASCII" in done.output or "is not UTF-8" in done.output
    assert "se-und" not in done.output
