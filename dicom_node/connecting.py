"""Connects to a peer, and remembers why it failed, which pynetdicom does not tell."""

import ssl
from contextlib import suppress
from socket import gaierror, socket
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicom_node.tls.sockets import ClientContext


class CallingAe(AE):
    """An application entity for one call, over TLS or not."""

    _plain: "_Socket | None" = None
    _context: ClientContext | None = None

    @property
    def failure(self) -> OSError | None:
        """Why there is no connection; None where there is one, or where TLS is the reason."""
        kept = self._context or self._plain
        return kept.unconnected if kept else None

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        made = super()._create_socket(assoc, address, tls_args)
        if tls_args and isinstance(tls_args[0], ClientContext):
            self._context = tls_args[0]
        elif made.socket:
            made.socket = self._plain = _Socket(fileno=made.socket.detach())
        return made


class _Socket(socket):
    """A connection without TLS."""

    unconnected: OSError | None = None

    def connect(self, address: Any) -> None:
        try:
            super().connect(address)
        except OSError as exc:
            self.unconnected = exc
            # pynetdicom 3.0.4 leaves it to the garbage collector: it closes only what it could shut down.
            with suppress(OSError):
                self.close()
            raise


def failure_in_words(failure: OSError, *, host: str, port: int, within_s: float) -> str:
    """Why a peer was not connected to, and what to look at."""
    if isinstance(failure, gaierror):
        return f"no address is known for {host}: is the host right, does the DNS of this machine know it?"
    where = f"{host}:{port}"
    if isinstance(failure, ConnectionRefusedError):
        return f"{where} refused the connection: does the PACS run, is the port right, is a firewall between?"
    if isinstance(failure, TimeoutError):
        return f"{where} did not answer within {within_s:g} s: is the address right, is a firewall between?"
    return f"{where} cannot be reached ({failure.strerror or type(failure).__name__}): check address and network"
