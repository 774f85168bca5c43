"""Ends connections in a way that the peer hears our last word, few at a time."""

import socket

from dicom_node.listen.limits import SilentConnections
from dicom_node.listen.transport import wait_for_close

_CLOSE_WAIT_S = 1.0
_MAXIMUM = 16
"""Real peers close at once. An association that is over holds three threads until its connection is closed."""


class ClosingConnections:
    """Connections whose peers have a moment for closing first (PS3.8 9.2.3, Sta13).

    No place of an association is taken by them. When there are too many, as of somebody who is rejected again and again and
    does not close, the oldest of the address that has the most is closed without waiting on.
    """

    def __init__(self, maximum: int = _MAXIMUM) -> None:
        """There are none."""
        self._waiting = SilentConnections(maximum)

    def wait_for_close(self, connection: socket.socket, address: str) -> None:
        """Say that nothing more comes, return when the peer has closed, or soon; the connection can be closed then."""
        self._waiting.add(connection, address)
        try:
            wait_for_close(connection, _CLOSE_WAIT_S)
        finally:
            self._waiting.remove(connection)
