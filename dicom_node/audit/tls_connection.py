"""A TLS connection whose end tells whether the peer has read everything.

``ssl.SSLSocket.unwrap`` takes an alert that comes while it waits for the closing one for an orderly end. By TLS 1.3 a
server looks at the client's certificate when the client is done with the handshake (RFC 8446 2): the refusal comes as
such an alert, after the messages went out.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

_CHUNK_BYTES = 16 * 1024


class TlsConnection:
    """The client's side of TLS over a connected socket, which stays the caller's."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        """Do the handshake; OSError where the server's certificate does not hold or time runs out."""
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._until_done(self._tls.do_handshake)

    def send(self, data: bytes) -> None:
        """Send bytes, all of them; OSError where the connection broke."""
        self._until_done(lambda: self._tls.write(data))

    def end(self) -> None:
        """Say that nothing more comes, wait for the server to say so too; OSError where it says or does anything else.

        It reads everything before it sees the end. Some servers close without TLS's closing alert; one that had not
        read everything would reset the connection.
        """
        has_ended = self._is_closing_alert_read()
        with suppress(ssl.SSLWantReadError):  # nothing came since, so it has nothing to take for an orderly end
            self._tls.unwrap()
        self._flush()
        while not has_ended and (received := self._plain.recv(_CHUNK_BYTES)):
            self._incoming.write(received)
            has_ended = self._is_closing_alert_read()

    def _is_closing_alert_read(self) -> bool:
        """Read what came so far; SSLError on any other alert."""
        try:
            while self._tls.read(_CHUNK_BYTES):
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            pass
        return True

    def _until_done(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._flush()
                if received := self._plain.recv(_CHUNK_BYTES):
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # the alert that tells the server why
                raise
            else:
                self._flush()
                return

    def _flush(self) -> None:
        self._plain.sendall(self._outgoing.read())
