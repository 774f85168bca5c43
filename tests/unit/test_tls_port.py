"""A port of TLS follows its files, and what it cannot use stands as an alert and in the metrics."""

import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from builders.certificates import Authority, Issued
from builders.clock import FakeClock
from builders.other_user import as_service
from config.settings import Settings
from config.tls import ListenTlsSettings
from dicom_node.alerts.rules import _certificates
from dicom_node.listen.tls import TlsPort
from dicom_node.tls.lifetimes import days_left_of_files


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of the files that a port is configured with; everybody may enter it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def authority(folder: Path) -> Authority:
    """Signs what is shown."""
    return Authority(folder / "ca")


def put(folder: Path, issued: Issued, *, with_key: bool = True) -> None:
    """Replace the files of the port, as a renewal does."""
    shutil.copy(issued.certificate, folder / "node.pem")
    if with_key:
        shutil.copy(issued.key, folder / "node.key")


def port(folder: Path) -> TlsPort:
    """A port over the files."""
    tls = ListenTlsSettings(
        enabled=True, certificate=folder / "node.pem", key=folder / "node.key", client_certificates="none"
    )
    return TlsPort(tls, clock=FakeClock(datetime.now(UTC)))


def look(followed: TlsPort) -> None:
    """Once more than it takes for files that changed."""
    for _ in range(2):
        followed.look()


def shown_to_a_client(context: ssl.SSLContext, *, server_name: str | None) -> str:
    """Fingerprint of the certificate that a handshake with the context shows."""
    client_context = ssl.create_default_context()
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return sha256(der).hexdigest()


def settings_of(folder: Path) -> Settings:
    """The port and the pages of a node with these files."""
    named = {"certificate": str(folder / "node.pem"), "key": str(folder / "node.key")}
    return Settings.model_validate(
        {"listen": {"tls": {"enabled": True, "client_certificates": "none", **named}}, "web": named}
    )


def alerts_of(folder: Path) -> dict[str, str]:
    """What stands about certificates."""
    return dict(_certificates(settings_of(folder), datetime.now(UTC)))


def days_of(folder: Path) -> dict[str, float]:
    """The metric, by subject."""
    return {subject: days for subject, _, days in days_left_of_files(settings_of(folder), now=datetime.now(UTC))}


@pytest.mark.parametrize("server_name", ["localhost", None])
def test_a_server_that_keeps_its_context_shows_the_renewed_certificate(
    folder: Path, authority: Authority, server_name: str | None
) -> None:
    """To who names a server and to who calls an address."""
    first, second = authority.issue("first"), authority.issue("second")
    put(folder, first)
    followed = port(folder)
    context = followed.following_context()
    assert shown_to_a_client(context, server_name=server_name) == first.fingerprint
    put(folder, second)
    look(followed)
    assert shown_to_a_client(context, server_name=server_name) == second.fingerprint == followed.fingerprint()


def test_a_renewal_that_cannot_be_used_is_an_alert_for_as_long(
    folder: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The port goes on with what it has; the day on which the new file ends counts for nothing."""
    first, second = authority.issue("first"), authority.issue("second", days=300)
    put(folder, first)
    followed = port(folder)
    assert alerts_of(folder) == {}
    put(folder, second, with_key=False)
    for _ in range(3):
        look(followed)
    assert followed.fingerprint() == first.fingerprint
    assert caplog.text.count("new certificates are not used") == 1
    assert set(alerts_of(folder)) == {"certificate unusable: TLS port", "certificate unusable: pages, TLS"}
    assert "does not belong to the certificate" in alerts_of(folder)["certificate unusable: TLS port"]
    assert days_of(folder) == {"listen": 0, "web": 0}
    put(folder, second)
    look(followed)
    assert (followed.fingerprint(), alerts_of(folder)) == (second.fingerprint, {})
    assert min(days_of(folder).values()) > 299


def test_a_file_in_another_form_or_gone_is_an_alert_too(folder: Path, authority: Authority) -> None:
    """It has no day on which it ends, and vanishes from no metric."""
    put(folder, authority.issue("node"))
    path = folder / "node.pem"
    path.write_bytes(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))
    assert "holds no certificate in PEM form" in alerts_of(folder)["certificate unusable: pages, TLS"]
    assert days_of(folder) == {"listen": 0, "web": 0}
    path.unlink()
    assert "does not exist" in alerts_of(folder)["certificate unusable: pages, TLS"]
    assert days_of(folder) == {"listen": 0, "web": 0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody for whom the rights of files hold")
def test_a_key_that_the_service_may_read_at_last_is_used(folder: Path, authority: Authority) -> None:
    """Nothing in the file changes then."""
    first, second = authority.issue("first"), authority.issue("second")
    put(folder, first)
    followed = port(folder)
    put(folder, second)
    key = folder / "node.key"
    key.chmod(0o600)
    with as_service():
        look(followed)
        assert followed.fingerprint() == first.fingerprint
    key.chmod(0o644)
    with as_service():
        look(followed)
        assert followed.fingerprint() == second.fingerprint
