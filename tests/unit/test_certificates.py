"""Certificates: what is read from them, what is said when they cannot be used."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from builders.certificates import Authority, Issued
from config.alerts import AlertsSettings
from config.settings import Peer, Settings
from config.tls import ListenTlsSettings
from dicom_node.check import Outcome, check_tls
from dicom_node.tls.certificates import Identity, checked_authorities, checked_identity
from dicom_node.tls.errors import CertificateError
from dicom_node.tls.lifetimes import certificate_files

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certification authority."""
    return Authority(tmp_path)


def identity(issued: Issued, **changes: Path) -> Identity:
    """The files of a certificate."""
    return Identity(**{"certificate": issued.certificate, "key": issued.key, **changes})


def settings_of(authority: Authority, node: Issued, **peer: object) -> Settings:
    """A node with a TLS port, and one peer."""
    tls = ListenTlsSettings(enabled=True, certificate=node.certificate, key=node.key, client_ca=authority.certificate)
    whole = {"name": "pacs", "ae_title": "PACS", "host": "localhost", "port": 104, **peer}
    return Settings.model_validate({"listen": {"tls": tls}, "peers": (whole,)})


def test_names_fingerprint_and_validity_are_read(authority: Authority) -> None:
    """As openssl shows them."""
    issued = authority.issue("node", hosts=("node.example.org", "10.0.0.1"), days=40.5)
    found = checked_identity(identity(issued), now=NOW)
    assert found.fingerprint == issued.fingerprint
    assert (found.common_names, found.alternative_names) == (("node",), ("node.example.org", "10.0.0.1"))
    assert found.left(NOW).days == 40
    assert found.bears("NODE.example.org")
    assert not found.bears("example.org")


def test_key_may_stand_in_the_file_of_the_certificate(authority: Authority, tmp_path: Path) -> None:
    """As HAProxy wants it."""
    issued = authority.issue("node")
    both = tmp_path / "both.pem"
    both.write_bytes(issued.certificate.read_bytes() + issued.key.read_bytes())
    assert checked_identity(Identity(certificate=both, key=None), now=NOW).fingerprint == issued.fingerprint


def test_expired_certificate_is_named_with_its_day(authority: Authority) -> None:
    """The administrator learns what to renew."""
    issued = authority.issue("node", days=-3)
    with pytest.raises(CertificateError, match=r"node-\d+\.pem expired on \d{4}-\d\d-\d\d: renew it"):
        checked_identity(identity(issued), now=NOW)


def test_certificate_of_the_future_points_to_the_clock(authority: Authority) -> None:
    """A machine without a battery starts in 1970."""
    with pytest.raises(CertificateError, match="check the clock"):
        checked_identity(identity(authority.issue("node")), now=datetime(1970, 1, 1, tzinfo=UTC))


def test_key_of_another_certificate_is_found(authority: Authority) -> None:
    """Before the first handshake fails."""
    with pytest.raises(CertificateError, match="does not belong to the certificate"):
        checked_identity(identity(authority.issue("a"), key=authority.issue("b").key), now=NOW)


def test_key_with_a_password_is_told_from_a_broken_one(authority: Authority, tmp_path: Path) -> None:
    """A service cannot type."""
    protected = tmp_path / "protected.key"
    key = ec.generate_private_key(ec.SECP256R1())
    protected.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(CertificateError, match="is protected by a password"):
        checked_identity(identity(authority.issue("a"), key=protected), now=NOW)


def test_file_that_cannot_be_read_is_named(authority: Authority, tmp_path: Path) -> None:
    """With what the system says."""
    with pytest.raises(CertificateError, match="cannot be read"):
        checked_authorities(tmp_path, now=NOW)


def test_der_file_is_no_pem(authority: Authority, tmp_path: Path) -> None:
    """The reason says how to convert it."""
    binary = tmp_path / "ca.der"
    binary.write_bytes(b"\x30\x82\x01\x02" + bytes(258))
    with pytest.raises(CertificateError, match="convert it with openssl"):
        checked_authorities(binary, now=NOW)


def test_check_says_how_long_the_certificate_lasts(authority: Authority) -> None:
    """And warns when that is less than 30 days."""
    results = [
        next(check_tls(settings_of(authority, authority.issue("node", days=days)), now=NOW)) for days in (90.5, 29.5)
    ]
    assert [result.outcome for result in results] == [Outcome.PASSED, Outcome.WARNING]
    assert "certificate node valid for 90 days" in results[0].detail
    assert "renew certificate node" in results[1].detail


def test_check_fails_for_what_the_listener_would_not_start_with(authority: Authority) -> None:
    """In the same sentence."""
    (result,) = check_tls(settings_of(authority, authority.issue("node", days=-1)), now=NOW)
    assert result.outcome is Outcome.FAILED
    assert "expired on" in result.detail


def test_check_looks_at_what_peers_are_called_with(authority: Authority, tmp_path: Path) -> None:
    """The certificate of the port is shown to peers too, unless they want another."""
    node = authority.issue("node")
    _, called = check_tls(settings_of(authority, node, tls=True, tls_ca=str(authority.certificate)), now=NOW)
    assert "called by TLS, certificate node valid for" in called.detail
    _, broken = check_tls(settings_of(authority, node, tls=True, tls_ca=str(tmp_path / "none.pem")), now=NOW)
    assert broken.outcome is Outcome.FAILED


def test_check_warns_of_a_title_that_nobody_can_prove() -> None:
    """A bound peer of a node without a TLS port can never call."""
    peer = Peer(name="ct", ae_title="CT", host="localhost", port=104, caller_name="ct")
    (result,) = check_tls(Settings(peers=(peer,)), now=NOW)
    assert result.outcome is Outcome.WARNING
    assert "[listen.tls]" in result.detail


def test_check_looks_at_pages_mail_webhook_and_syslog(authority: Authority, tmp_path: Path) -> None:
    """Each file that is named, with the days that alerts and metrics go by; one that is missing is a failure."""
    pages, ca = authority.issue("pages", days=10.5), str(authority.certificate)
    settings = Settings.model_validate(
        {
            "web": {"certificate": str(pages.certificate), "key": str(pages.key)},
            "audit": {"syslog_host": "syslog", "syslog_ca": str(tmp_path / "none.pem")},
            "alerts": {"mail_host": "mail", "mail_ca": ca, "mail_from": "a@b", "mail_to": ["c@d"]}
            | {"webhook_url": "https://a/", "webhook_ca": ca},
        }
    )
    found = {result.subject: result for result in check_tls(settings, now=NOW)}
    outcomes = [Outcome.WARNING, Outcome.FAILED, Outcome.PASSED, Outcome.PASSED]
    assert [result.outcome for result in found.values()] == outcomes
    assert "certificate pages valid for 10 days: renew certificate pages" in found["pages, TLS"].detail
    assert "does not exist" in found["audit trail, TLS"].detail
    days = {(file.subject, file.kind): file.days_left(NOW) for file in certificate_files(settings)}
    assert set(days) == {("web", "certificate"), ("mail", "authority"), ("webhook", "authority")}
    assert 10 < days["web", "certificate"] < 11


def test_certificates_are_warned_of_as_early_as_alerts_are(authority: Authority) -> None:
    """By the same key of the configuration."""
    settings = settings_of(authority, authority.issue("node", days=60)).model_copy(
        update={"alerts": AlertsSettings(certificate_days=90)}
    )
    assert next(check_tls(settings, now=NOW)).outcome is Outcome.WARNING


def test_without_tls_nothing_is_said() -> None:
    """The check stays short."""
    assert list(check_tls(Settings(), now=NOW)) == []
