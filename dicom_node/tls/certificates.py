"""Reads certificates and says in one sentence what is wrong with them (RFC 5280, RFC 7468)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from dicom_node.tls.errors import CertificateError

WARNING_DAYS = 30
"""A certificate that ends sooner is to be renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says of itself."""

    fingerprint: str
    """SHA-256 of its DER form, 64 lower-case hexadecimal digits."""
    common_names: tuple[str, ...]
    alternative_names: tuple[str, ...]
    """DNS names and IP addresses of the subject alternative name."""
    not_before: datetime
    not_after: datetime

    @property
    def title(self) -> str:
        """What people call it."""
        return next(iter((*self.common_names, *self.alternative_names)), self.fingerprint[:16])

    def bears(self, name: str) -> bool:
        """Whether it is issued to a name; capitals do not matter, as in DNS."""
        return name.lower() in {one.lower() for one in (*self.common_names, *self.alternative_names)}

    def left(self, now: datetime) -> timedelta:
        """How long it is still valid; negative when it has expired."""
        return self.not_after - now


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The files by which a node shows who it is."""

    certificate: Path
    """PEM, the own certificate first, then those between it and the root."""
    key: Path | None
    """PEM; None: in the file of the certificate."""

    @property
    def key_path(self) -> Path:
        """Where the key is."""
        return self.key or self.certificate


def certificate_from_der(der: bytes) -> Certificate:
    """What a certificate says that came over the network.

    Raises:
        CertificateError: It cannot be read.
    """
    try:
        return _described(x509.load_der_x509_certificate(der))
    except (ValueError, UnsupportedAlgorithm) as exc:
        reason = "the certificate of the peer cannot be read"
        raise CertificateError(reason) from exc


def certificates_of(path: Path) -> tuple[Certificate, ...]:
    """What the certificates of a file in PEM form say, in their order; at least one.

    Raises:
        CertificateError: The file is missing, unreadable, or holds none.
    """
    return tuple(_described(one) for one in _load_all(path))


def checked_identity(identity: Identity, *, now: datetime) -> Certificate:
    """The certificate of a node, after everything was looked at that would break a handshake.

    Raises:
        CertificateError: A file is missing or unreadable, the certificate has expired or is not valid yet, or the key
            belongs to another one.
    """
    path = identity.certificate
    first = _load_all(path)[0]
    described = _described(first)
    if described.not_after <= now:
        reason = f"the certificate {path} expired on {described.not_after:%Y-%m-%d}: renew it"
        raise CertificateError(reason)
    if described.not_before > now:
        reason = (
            f"the certificate {path} is not valid before {described.not_before:%Y-%m-%d %H:%M} UTC: check the clock"
        )
        raise CertificateError(reason)
    if _public_bytes(first, path) != _public_bytes_of_key(identity.key_path):
        reason = f"the key {identity.key_path} does not belong to the certificate {path}: give the key it was made with"
        raise CertificateError(reason)
    return described


def checked_authorities(path: Path, *, now: datetime) -> tuple[Certificate, ...]:
    """The certificates of a file of authorities.

    Raises:
        CertificateError: The file is missing or holds none, or all of them have expired.
    """
    found = certificates_of(path)
    if all(one.not_after <= now for one in found):
        last = max(one.not_after for one in found)
        reason = f"every certificate of authorities in {path} has expired, the last on {last:%Y-%m-%d}: renew them"
        raise CertificateError(reason)
    return found


def _load_all(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, "certificate"))
    except (ValueError, UnsupportedAlgorithm) as exc:
        reason = f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----): convert it with openssl"
        raise CertificateError(reason) from exc


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        reason = f"the {what} {path} does not exist: correct the path, or put it there"
        raise CertificateError(reason) from exc
    except OSError as exc:
        reason = f"the {what} {path} cannot be read ({exc.strerror}): let the user of the service read it"
        raise CertificateError(reason) from exc


def _public_bytes(certificate: x509.Certificate, path: Path) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as exc:
        reason = f"the certificate {path} has a kind of key that TLS does not use here: take RSA or ECDSA"
        raise CertificateError(reason) from exc


def _public_bytes_of_key(path: Path) -> bytes:
    data = _read(path, "key")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as exc:
        reason = f"the key {path} is protected by a password: store it without one, readable by the service alone"
        raise CertificateError(reason) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        reason = (
            f"{path} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----): give the key of the certificate"
        )
        raise CertificateError(reason) from exc
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _described(certificate: x509.Certificate) -> Certificate:
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Certificate(
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        common_names=tuple(str(one.value) for one in common),
        alternative_names=_alternative_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)
