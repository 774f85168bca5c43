"""TLS connections that end as they should, know whom they talk to, and remember why they failed."""

import ssl
from contextlib import suppress
from typing import Any

from dicom_node.tls.certificates import Certificate, certificate_from_der
from dicom_node.tls.failures import failure_in_words


class TlsSocket(ssl.SSLSocket):
    """A TLS connection."""

    def shutdown(self, how: int) -> None:
        """End the connection, close_notify first (RFC 8446 6.1): what comes without it looks cut off to the peer."""
        with suppress(OSError, ValueError):
            self.settimeout(0)
            self.unwrap()
        super().shutdown(how)


def certificate_of(connection: ssl.SSLSocket) -> Certificate | None:
    """What the other side showed in the handshake; None if it showed nothing.

    Raises:
        CertificateError: It cannot be read.
    """
    der = connection.getpeercert(binary_form=True)
    return certificate_from_der(der) if der else None


class ClientContext(ssl.SSLContext):
    """A context for one association with a peer; remembers why it failed, which pynetdicom does not tell."""

    fingerprints: frozenset[str] = frozenset()
    """Given, the certificate of the peer must be one of these, and nothing else counts."""
    problem: str = ""
    """In words; empty while nothing went wrong."""
    unconnected: OSError | None = None
    """Why there was no connection to shake hands on."""


class ClientSocket(TlsSocket):
    """The connection of a ClientContext."""

    def connect(self, addr: Any) -> None:
        """Connect and shake hands."""
        try:
            super().connect(addr)
        except OSError as exc:
            if isinstance(self.context, ClientContext) and not self.context.problem:
                self.context.unconnected = exc
            with suppress(OSError):
                self.close()
            raise

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; nothing is sent to a peer that is not the one that was pinned."""
        try:
            super().do_handshake(block)
        except OSError as exc:
            _note(self.context, failure_in_words(exc))
            raise
        self._require_pinned()

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> int:  # type: ignore[override]  # named as in ssl
        """Read; with TLS 1.3 a peer refuses our certificate only here."""
        try:
            return super().read(len, buffer)  # type: ignore[return-value]  # bytes where there is no buffer
        except ssl.SSLEOFError:
            raise
        except ssl.SSLError as exc:
            _note(self.context, failure_in_words(exc))
            raise

    def _require_pinned(self) -> None:
        context = self.context
        if not isinstance(context, ClientContext) or not context.fingerprints:
            return
        shown = certificate_of(self)
        if shown is None or shown.fingerprint not in context.fingerprints:
            found = shown.fingerprint if shown else "none"
            _note(context, f"its certificate is not the one that was pinned, its SHA-256 fingerprint is {found}")
            raise ConnectionAbortedError


def _note(context: ssl.SSLContext, words: str) -> None:
    if isinstance(context, ClientContext):
        context.problem = words
