"""Cuts connections that hold a place of the pages without use: who says nothing, half a request, or takes no answer."""

import logging
from asyncio import SelectorEventLoop, Server, Transport
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

HANDSHAKE_S = 5.0
"""For that of TLS, from the connection on, as by default on the TLS port for DICOM (`[listen].first_pdu_timeout_s`)."""
REQUEST_S = 10.0
"""For a whole request, its body too, from the connection or from the first byte behind an answer; forms are small."""
TAKING_S = 30.0
"""For 48 KiB of an answer, from the high to the low mark of asyncio's buffer."""
PER_ADDRESS = 64
"""Connections; a reverse proxy has one address for all who come through it."""
_COMPLETE = frozenset({h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR, h11.SWITCHED_PROTOCOL})


class ImpatientLoop(SelectorEventLoop):
    """The loop of asyncio, which by itself waits a minute for a handshake of TLS; uvicorn cannot be told to wait less."""

    async def create_server(self, *arguments: Any, **named: Any) -> Server:
        """A server, as asyncio's."""
        if named.get("ssl"):
            named.setdefault("ssl_handshake_timeout", HANDSHAKE_S)
        return await super().create_server(*arguments, **named)


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, which by itself waits for a first request, and for the rest of any, without end."""

    _requested: Callable[[], None] | None = None
    """Forgets the deadline of a request; None while none runs."""
    _taken: Callable[[], None] | None = None
    """Forgets the deadline of an answer; None while none runs."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first request, unless the address has its share of connections."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        clients = [one.client for one in self.connections if isinstance(one, H11Protocol)]
        theirs = sum(client is not None and client[0] == address for client in clients)
        if theirs > PER_ADDRESS:
            self._cut(f"has more than {PER_ADDRESS} connections")
            return
        self._requested = self._within(REQUEST_S, "sent no request")

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of what has begun, and no longer for what is whole."""
        super().data_received(data)
        if self.conn.their_state in _COMPLETE:
            self._end_request()
        elif self._requested is None and not self.transport.is_closing():
            self._requested = self._within(REQUEST_S, "sent half a request")

    def on_response_complete(self) -> None:
        """Wait for the rest of a request that is half here, or until the last answer is taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_taking()
        elif self.conn.their_state not in _COMPLETE and self.conn.trailing_data[0]:
            self._requested = self._requested or self._within(REQUEST_S, "sent half a request")

    def pause_writing(self) -> None:
        """Begin to wait until the answer is taken."""
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        """The answer was taken, but for what is left where the connection ends with it."""
        super().resume_writing()
        self._end_answer()
        if self.transport.is_closing():
            self._await_taking()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without a next request, also where the last bytes of an answer are not taken."""
        super().timeout_keep_alive_handler()
        self._await_taking()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._end_request()
        self._end_answer()
        super().connection_lost(exc)

    def _within(self, seconds: float, reason: str) -> Callable[[], None]:
        """Cut the connection after a time; what is returned forgets that."""
        return self.loop.call_later(seconds, self._cut, reason).cancel

    def _await_taking(self) -> None:
        self._taken = self._taken or self._within(TAKING_S, "does not take its answer")

    def _end_request(self) -> None:
        if self._requested:
            self._requested()
        self._requested = None

    def _end_answer(self) -> None:
        if self._taken:
            self._taken()
        self._taken = None

    def _cut(self, reason: str) -> None:
        """End the connection at once: an orderly end would wait for the other side."""
        logger.info("connection of %s cut: it %s", self.client[0] if self.client else "nobody", reason)
        self.transport.abort()
