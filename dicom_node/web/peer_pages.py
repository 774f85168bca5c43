"""AE titles: the peers, what they take, whether they answer."""

import subprocess
import sys
from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from config.settings import Peer
from dicom_node.calling import PeerUnreachableError
from dicom_node.peer_names import UnknownPeerError, peer_named, without_name
from dicom_node.peers import echo
from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import Changing, Looking, Visitor, record
from dicom_node.web.peer_view import Notice, show
from dicom_node.web.site import site_of

router = APIRouter()

_TEST_WITHIN_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How a peer answered when it was tried out."""

    peer: str
    is_success: bool
    title: str
    words: str


@router.get("/peers")
def show_peers(request: Request, visitor: Looking) -> HTMLResponse:
    """Every peer of the configuration."""
    record(request, visitor, Deed.PEERS_SEEN)
    return show(request, visitor)


@router.post("/peers/{name}/echo")
def echo_peer(request: Request, visitor: Changing, name: str) -> HTMLResponse:
    """Verify a peer by C-ECHO."""
    peer = _peer(request, name)
    try:
        echo(peer, own_aet=site_of(request).settings.node.ae_title)
    except PeerUnreachableError as error:
        tried = Tried(peer=name, is_success=False, title="C-ECHO failed", words=without_name(error.reason, name))
    else:
        words = f"{peer.ae_title} at {peer.host}:{peer.port} answers."
        tried = Tried(peer=name, is_success=True, title="C-ECHO succeeded", words=words)
    return _tried(request, visitor, tried)


@router.post("/peers/{name}/test")
def send_test(request: Request, visitor: Changing, name: str) -> HTMLResponse:
    """Send the labelled test set, in a process of its own: it loads what these pages never do."""
    peer, path = _peer(request, name), site_of(request).file.path
    config = ["--config", str(path)] if path else []
    command = [sys.executable, "-m", "dicom_node", *config, "ae", "test", peer.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TEST_WITHIN_S, check=False)
        is_success, words = done.returncode == 0, (done.stdout + done.stderr).strip()
    except subprocess.TimeoutExpired:
        is_success, words = False, f"not done within {_TEST_WITHIN_S} s"
    title = "Test set sent" if is_success else "Test set not taken as a whole"
    return _tried(request, visitor, Tried(peer=name, is_success=is_success, title=title, words=words))


def _tried(request: Request, visitor: Visitor, tried: Tried) -> HTMLResponse:
    record(request, visitor, Deed.PEER_TRIED, words=f"{tried.peer}: {tried.title.lower()}", is_success=tried.is_success)
    return show(
        request,
        visitor,
        notice=Notice(title=f"{tried.peer}: {tried.title}", words=tried.words, is_success=tried.is_success),
    )


def _peer(request: Request, name: str) -> Peer:
    try:
        return peer_named(site_of(request).settings, name)
    except UnknownPeerError as error:
        raise HTTPException(404, error.reason) from error
