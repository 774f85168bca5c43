"""A port of TLS: handshakes in time, certificates that are read again when they change."""

import logging
import socket
import ssl

from config.tls import ListenTlsSettings
from dicom_node.clock import Clock
from dicom_node.file_stamp import FileStamp, stamp_of
from dicom_node.listen.self_call import SelfCall
from dicom_node.tls.certificates import WARNING_DAYS, Certificate
from dicom_node.tls.contexts import own_certificate, server_context
from dicom_node.tls.errors import CertificateError

logger = logging.getLogger(__name__)

_REMINDER_S = 86_400.0

State = tuple[FileStamp, ...]
"""Of the files: what changes when one of them does."""


class TlsPort:
    """The context that new connections get; those that are open keep theirs."""

    def __init__(
        self, tls: ListenTlsSettings, *, clock: Clock, self_call: SelfCall | None = None, name: str = "TLS port"
    ) -> None:
        """Read the certificates.

        Args:
            tls: With a certificate.
            clock: For periods of validity.
            self_call: Whose certificate is accepted too; None where the listener does not call itself.
            name: For the log.

        Raises:
            CertificateError: They cannot be used: the listener does not start.
        """
        self._tls = tls
        self._clock = clock
        self._self_call = self_call
        self._name = name
        self._problem = ""
        self._seen = self._loaded = self._state()
        self._context, self.certificate = self._load()
        self._remind_at_s = clock.monotonic() + _REMINDER_S
        self._log_end()

    def fingerprint(self) -> str:
        """SHA-256 of the certificate that new connections are shown."""
        return self.certificate.fingerprint

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """The connection as one of TLS, without a handshake so far."""
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def following_context(self) -> ssl.SSLContext:
        """A context for a server that has one for as long as it runs: each handshake gets what was read last.

        OpenSSL asks before each handshake, whether the client names a server or not (SSL_CTX_set_tlsext_servername_callback).
        """
        context = self._context
        context.sni_callback = self._hand_on
        return context

    def _hand_on(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = self._context

    def look(self) -> None:
        """Read the certificates again when their files have changed, and stay as they are from one look to the next.

        What cannot be used is said once for each change; the port goes on with what it has. It is tried again at each
        look: whoever lets the service read a file changes nothing in it.
        """
        state = self._state()
        is_settled, self._seen = state == self._seen, state
        if is_settled and (state != self._loaded or self._problem):
            self._problem = self._problem if state == self._loaded else ""
            self._loaded = state
            self._reload()
        if self._clock.monotonic() >= self._remind_at_s:
            self._remind_at_s = self._clock.monotonic() + _REMINDER_S
            self._log_end()

    def _reload(self) -> None:
        try:
            self._context, self.certificate = self._load()
        except CertificateError as error:
            if error.reason != self._problem:
                logger.error("new certificates are not used, the old ones stay: %s", error.reason)  # noqa: TRY400  # said whole
            self._problem = error.reason
            return
        self._problem = ""
        logger.info("certificates of the %s read again", self._name)
        self._log_end()

    def _load(self) -> tuple[ssl.SSLContext, Certificate]:
        now = self._clock.now()
        also_trusted = self._self_call.certificate if self._self_call else None
        context = server_context(self._tls, now=now, also_trusted=also_trusted)
        return context, own_certificate(self._tls, now=now)

    def _state(self) -> State:
        paths = (self._tls.certificate, self._tls.key, self._tls.client_ca)
        return tuple(stamp_of(path) for path in paths if path is not None)

    def _log_end(self) -> None:
        """Warn in time."""
        days = self.certificate.left(self._clock.now()).days
        if days < WARNING_DAYS:
            logger.warning("the certificate of the %s ends in %d days: renew it", self._name, days)
