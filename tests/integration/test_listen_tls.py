"""The TLS port: who gets in, what is refused, what silence costs, how certificates are renewed."""

import logging
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import RunningListener, association, running_listener, send
from builders.raw_peer import RawPeer
from builders.receiving_processes import listener_of_two, spread
from builders.tls_listener import Site, make_site, tls_association, tls_listener
from config.settings import Peer, Settings
from dicom_node.tls.errors import CertificateError

# pynetdicom leaves sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def listener(tls_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """A listener that demands certificates."""
    with tls_listener(tls_site.settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


def is_accepted(port: int, context: ssl.SSLContext, **titles: str) -> bool:
    """Whether a sender gets an association."""
    with tls_association(port, context, **titles) as opened:
        return bool(opened.is_established)


def is_rejected_without_tls(port: int) -> bool:
    """Whether the sender is turned away from the plain port."""
    with association(port, [(CTImageStorage, [ExplicitVRLittleEndian])]) as opened:
        return bool(opened.is_rejected)


def with_peer(settings: Settings, **changes: object) -> Settings:
    """The settings with something else said about the sender."""
    peers = tuple(Peer(**{**peer.model_dump(exclude_unset=True), **changes}) for peer in settings.peers)
    return settings.model_copy(update={"peers": peers})


def test_object_arrives_over_tls(listener: RunningListener, tls_site: Site) -> None:
    """Stored as over the plain port."""
    with tls_association(listener.port, tls_site.client(tls_site.modality)) as opened:
        assert opened.send_c_store(ct_instance(study="7.1")).Status == 0x0000
    assert len(listener.stored("7.1")) == 1


def test_both_ports_work_beside_each_other(tls_site: Site, tmp_path: Path) -> None:
    """One study, half of it over each."""
    settings = tls_site.settings(tmp_path, plain=True)
    with running_listener(settings) as running:
        assert send(running.port, ct_instance()) == [0x0000]
        with tls_association(settings.listen.tls.port, tls_site.client(tls_site.modality)) as opened:
            assert opened.send_c_store(ct_instance(2)).Status == 0x0000
        assert len(running.stored()) == 2


def test_every_receiving_process_serves_the_tls_port(tls_site: Site, tmp_path: Path) -> None:
    """The listener hands a connection on before its handshake."""
    settings = tls_site.settings(tmp_path, plain=True)
    with listener_of_two(settings) as (running, child):
        port, context = settings.listen.tls.port, tls_site.client(tls_site.modality)
        with spread(child, *[lambda: tls_association(port, context)] * 2) as opened:
            assert [one.send_c_store(ct_instance(at)).Status for at, one in enumerate(opened)] == [0x0000] * 2
        assert len(running.stored()) == 2


def test_caller_without_a_certificate_is_refused(listener: RunningListener, tls_site: Site) -> None:
    """Where they are required."""
    assert not is_accepted(listener.port, tls_site.client())


def test_certificate_of_another_authority_is_refused(listener: RunningListener, tls_site: Site, tmp_path: Path) -> None:
    """Whatever name it bears."""
    stranger = make_site(tmp_path).authority.issue("ct1")
    assert not is_accepted(listener.port, tls_site.client(stranger))


def test_log_says_why_a_caller_was_cut(tls_site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line for each reason, with what to do, as docs/tls.md explains it."""
    stranger = make_site(tmp_path / "stranger").authority.issue("ct1")
    shown = [
        None,
        stranger,
        tls_site.authority.issue("self", self_signed=True),
        tls_site.authority.issue("old", days=-1),
    ]
    with tls_listener(tls_site.settings(tmp_path / "data")) as running, caplog.at_level(logging.WARNING):
        assert not any(is_accepted(running.port, tls_site.client(one)) for one in shown)
    for words in (
        "showed no certificate",
        "in client_ca where it calls",
        "signed its certificate itself",
        "has expired",
    ):
        assert words in caplog.text


def test_expired_certificate_is_refused(listener: RunningListener, tls_site: Site) -> None:
    """Of the right authority."""
    assert not is_accepted(listener.port, tls_site.client(tls_site.authority.issue("ct1", days=-1)))


@pytest.mark.parametrize("kind", ["optional", "none"])
def test_site_may_do_without_client_certificates(tls_site: Site, tmp_path: Path, kind: str) -> None:
    """Then TLS protects what is sent, and AE titles are labels."""
    with tls_listener(tls_site.settings(tmp_path, tls={"client_certificates": kind})) as running:
        assert is_accepted(running.port, tls_site.client())


def test_single_certificate_may_be_trusted_without_its_authority(tls_site: Site, tmp_path: Path) -> None:
    """A device that signed its certificate itself."""
    device = tls_site.authority.issue("device", self_signed=True)
    with tls_listener(tls_site.settings(tmp_path, tls={"client_ca": device.certificate})) as running:
        assert is_accepted(running.port, tls_site.client(device))
        assert not is_accepted(running.port, tls_site.client(tls_site.modality))


@pytest.mark.parametrize(("version", "is_spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_only_versions_of_the_profile_are_spoken(
    listener: RunningListener, tls_site: Site, version: str, is_spoken: bool
) -> None:
    """PS3.15 B.12: TLS 1.2 and 1.3."""
    context = tls_site.client(tls_site.modality)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    assert is_accepted(listener.port, context) is is_spoken


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_weak_suites_of_tls_1_2_are_refused(listener: RunningListener, tls_site: Site, cipher: str) -> None:
    """Neither static keys nor CBC nor finite-field keys."""
    context = tls_site.client(tls_site.modality)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    assert not is_accepted(listener.port, context)


def test_bound_title_needs_its_certificate(tls_site: Site, tmp_path: Path) -> None:
    """Another certificate of the same authority is not enough, nor is the plain port."""
    other = tls_site.authority.issue("ct2")
    settings = with_peer(tls_site.settings(tmp_path, plain=True), caller_fingerprints=(tls_site.modality.fingerprint,))
    with running_listener(settings) as running:
        port = settings.listen.tls.port
        assert is_accepted(port, tls_site.client(tls_site.modality))
        with tls_association(port, tls_site.client(other)) as opened:
            assert opened.is_rejected
        assert is_rejected_without_tls(running.port)


def test_title_bound_by_name_survives_the_renewal_of_the_certificate(tls_site: Site, tmp_path: Path) -> None:
    """Common name or alternative name decide."""
    settings = with_peer(tls_site.settings(tmp_path), caller_name="ct1")
    with tls_listener(settings) as running:
        assert is_accepted(running.port, tls_site.client(tls_site.authority.issue("ct1")))
        assert not is_accepted(running.port, tls_site.client(tls_site.authority.issue("ct2")))


def test_peer_of_tls_is_rejected_on_the_plain_port(tls_site: Site, tmp_path: Path) -> None:
    """tls = true means that nothing of it comes in the clear."""
    settings = with_peer(tls_site.settings(tmp_path, plain=True), tls=True)
    with running_listener(settings) as running:
        assert is_accepted(settings.listen.tls.port, tls_site.client(tls_site.modality))
        assert is_rejected_without_tls(running.port)


def half_hello(tls_site: Site) -> bytes:
    """The first half of a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = tls_site.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    hello = outgoing.read()
    return hello[: len(hello) // 2]


@pytest.mark.parametrize("kind", ["silent", "half hello"])
def test_hundred_silent_connections_keep_nobody_waiting(tls_site: Site, tmp_path: Path, kind: str) -> None:
    """A real sender is accepted while the listener still waits for each of them."""
    said = half_hello(tls_site) if kind == "half hello" else b""
    with tls_listener(tls_site.settings(tmp_path, first_pdu_timeout_s=600.0)) as running, ExitStack() as connections:
        silent = [connections.enter_context(RawPeer(running.port)) for _ in range(100)]
        for peer in silent:
            peer.send(said)
        assert is_accepted(running.port, tls_site.client(tls_site.modality))
        assert not any(peer.is_closed() for peer in silent)


def test_who_does_not_finish_the_handshake_is_cut(tls_site: Site, tmp_path: Path) -> None:
    """The deadline is of handshake and request together."""
    with tls_listener(tls_site.settings(tmp_path, first_pdu_timeout_s=0.3)) as running:
        for said in (b"", half_hello(tls_site)):
            with RawPeer(running.port) as peer:
                peer.send(said)
                assert peer.receive_pdu() == (0, b"")


def test_who_is_silent_after_the_handshake_is_cut(tls_site: Site, tmp_path: Path) -> None:
    """TLS alone is no association."""
    with tls_listener(tls_site.settings(tmp_path, first_pdu_timeout_s=0.5)) as running:
        plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)
        with tls_site.client(tls_site.modality).wrap_socket(plain, server_hostname="localhost") as connection:
            assert connection.recv(1) == b""


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\x01\x00" + bytes(256), b"\xff" * 600])
def test_what_is_no_tls_is_cut_at_once_and_said_in_the_log(
    tls_site: Site, tmp_path: Path, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """HTTP, DICOM in the clear, noise."""
    with tls_listener(tls_site.settings(tmp_path)) as running, caplog.at_level(logging.WARNING):
        with RawPeer(running.port) as peer:
            peer.send(said)
            # What comes is an alert of TLS.
            until(lambda: peer.receive_pdu()[0] == 0, within_s=3, what="the connection is cut")
        assert is_accepted(running.port, tls_site.client(tls_site.modality))
    assert "it does not speak TLS on this port" in caplog.text


def renew(old: Site, certificate: Path, key: Path) -> None:
    """Put other files in the place of those in use, as certbot does."""
    for source, target in ((certificate, old.node.certificate), (key, old.node.key)):
        fresh = target.with_suffix(".new")
        shutil.copyfile(source, fresh)
        fresh.replace(target)


def shown_by(port: int, tls_site: Site) -> bytes:
    """The certificate of the node."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with tls_site.client(tls_site.modality).wrap_socket(plain, server_hostname="localhost") as connection:
        return connection.getpeercert(binary_form=True) or b""


def test_renewed_certificate_is_shown_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad one is not taken and said once; an association that is open goes on."""
    monkeypatch.setattr("dicom_node.listen.server._HEARTBEAT_S", 0.1)
    tls_site = make_site(tmp_path / "site")
    with tls_listener(tls_site.settings(tmp_path / "data")) as running, caplog.at_level(logging.INFO):
        first = shown_by(running.port, tls_site)
        with tls_association(running.port, tls_site.client(tls_site.modality)) as opened:
            expired = tls_site.authority.issue("node", days=-1)
            renew(tls_site, expired.certificate, expired.key)
            until(lambda: "new certificates are not used" in caplog.text, within_s=10, what="the bad one is refused")
            assert shown_by(running.port, tls_site) == first
            fresh = tls_site.authority.issue("node", days=20)
            renew(tls_site, fresh.certificate, fresh.key)
            until(lambda: shown_by(running.port, tls_site) != first, within_s=10, what="the new one is shown")
            assert opened.send_c_store(ct_instance()).Status == 0x0000
    assert caplog.text.count("new certificates are not used") == 1
    assert "ends in 19 days" in caplog.text
    assert "does not answer itself" not in caplog.text


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda tls_site: tls_site.node.certificate.unlink(), "does not exist"),
        (lambda tls_site: tls_site.node.key.unlink(), "does not exist"),
        (lambda tls_site: tls_site.node.certificate.write_text("nothing"), "holds no certificate in PEM form"),
        (lambda tls_site: tls_site.node.key.write_text("nothing"), "holds no private key in PEM form"),
        (
            lambda tls_site: shutil.copyfile(tls_site.modality.key, tls_site.node.key),
            "does not belong to the certificate",
        ),
        (lambda tls_site: tls_site.authority.certificate.write_text(""), "holds no certificate in PEM form"),
    ],
)
def test_listener_does_not_start_with_bad_certificates(tmp_path: Path, break_it: object, words: str) -> None:
    """And says in one sentence what is wrong."""
    tls_site = make_site(tmp_path / "site")
    assert callable(break_it)
    break_it(tls_site)
    with pytest.raises(CertificateError, match=words) as caught, tls_listener(tls_site.settings(tmp_path / "data")):
        pass
    assert "\n" not in caught.value.reason
