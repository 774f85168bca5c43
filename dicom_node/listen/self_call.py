"""How the listener calls itself, to see whether each of its ports still answers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.settings import Peer, Settings
from dicom_node.peers import echo

_LOOPBACK_OF_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_VALIDITY = timedelta(days=3650)
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dicom-node, call to itself")])


class SelfCall:
    """Calls the ports by C-ECHO under a title that nobody can guess, on TLS with a certificate that nobody else has."""

    def __init__(self, settings: Settings, folder: Path, *, aet: str, now: datetime) -> None:
        """Make the certificate.

        Args:
            settings: Of the node.
            folder: For the certificate with its key; readable by the node alone, removed when the listener ends.
            aet: That the listener calls itself by.
            now: The certificate is valid from here.
        """
        self._settings = settings
        self._aet = aet
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(_NAME)
            .issuer_name(_NAME)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _VALIDITY)
            .sign(key, SHA256())
        )
        self._path = folder / "self.pem"
        self._path.touch(mode=0o600)
        self._path.write_bytes(
            self.certificate.public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    def plain(self, port: int) -> Callable[[], None]:
        """A call to the port without TLS."""
        return lambda: echo(self._itself(port), own_aet=self._aet)

    def tls(self, port: int, fingerprint_of: Callable[[], str]) -> Callable[[], None]:
        """A call to the TLS port.

        Args:
            port: Of the listener.
            fingerprint_of: Gives the SHA-256 fingerprint of the certificate that the port shows now.
        """

        def call() -> None:
            pinned = {"tls": True, "tls_certificate": self._path, "tls_fingerprints": (fingerprint_of(),)}
            echo(self._itself(port).model_copy(update=pinned), own_aet=self._aet)

        return call

    def _itself(self, port: int) -> Peer:
        listen = self._settings.listen
        host = _LOOPBACK_OF_WILDCARD.get(listen.host, listen.host)
        return Peer(name="self", ae_title=self._settings.node.ae_title, host=host, port=port)
