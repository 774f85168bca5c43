"""Finds a peer by the name that the configuration gives it."""

from config.settings import Peer, Settings
from dicom_node.errors import NodeError


class UnknownPeerError(NodeError):
    """The configuration has no peer of this name."""


def peer_named(settings: Settings, name: str) -> Peer:
    """The peer of the configuration.

    Raises:
        UnknownPeerError: There is none of this name.
    """
    for peer in settings.peers:
        if peer.name == name:
            return peer
    known = ", ".join(peer.name for peer in settings.peers) or "none"
    reason = f"the configuration has no peer {name}; it has: {known}"
    raise UnknownPeerError(reason)


def without_name(words: str, name: str) -> str:
    """Words about a peer, without its name before them where that is said already."""
    return words.removeprefix(f"{name}: ")
