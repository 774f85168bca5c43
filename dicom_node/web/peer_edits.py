"""AE titles: peers are added, changed, removed, let in; the last edit is undone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse

from config.errors import ConfigError
from config.settings import Peer
from dicom_node.configuring import Configuration, Edit
from dicom_node.configuring.errors import NotWritableError
from dicom_node.errors import NodeError
from dicom_node.peer_names import UnknownPeerError, peer_named
from dicom_node.refused import Welcome, allow
from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import Changing, Visitor, record
from dicom_node.web.peer_forms import PeerForm, changes_from, command_for, form_sent
from dicom_node.web.peer_view import Notice, Refusal, blocks_by_name, show
from dicom_node.web.site import Site, site_of
from storage.errors import StorageError

router = APIRouter()

_Sent = Annotated[PeerForm, Depends(form_sent)]
_Sha256 = Annotated[str, Form()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """An edit that somebody asked for."""

    what: str
    """In words, for the audit trail where it fails."""
    do: Callable[[Configuration], Edit]
    command: Callable[[Configuration], str]
    """That does the same, where these pages may not."""
    place: str = ""
    """Beside which form problems are shown: `add`, or the name of a peer; empty: at the top."""
    form: PeerForm | None = None


@router.post("/peers/add")
def add_peer(request: Request, visitor: Changing, form: _Sent, sha256: _Sha256 = "") -> HTMLResponse:
    """Add a peer."""

    def values() -> dict[str, Any]:
        # What is off by default need not be written.
        return {key: value for key, value in form.values().items() if value is not False or key == "may_send"}

    def command(edited: Configuration) -> str:
        rest = {key: value for key, value in values().items() if key not in {"ae_title", "host", "port"}}
        host = f"[{form.host}]" if ":" in form.host else form.host
        return command_for(edited.path, "add", form.name, form.ae_title, f"{host}:{form.port}", values=rest)

    wish = _Wish(
        what=f"peer {form.name} added",
        do=lambda edited: edited.add_peer(
            {"name": form.name, **values()}, by=_by(visitor), expected_sha256=sha256 or None
        ),
        command=command,
        place="add",
        form=form,
    )
    return _answer(request, visitor, wish)


@router.post("/peers/{name}/change")
def change_peer(request: Request, visitor: Changing, name: str, form: _Sent, sha256: _Sha256 = "") -> HTMLResponse:
    """Change a peer; its name stays: deliveries and answers go by it."""

    def changes(edited: Configuration) -> dict[str, Any]:
        return changes_from(form, *_peer_and_block(edited, name))

    wish = _Wish(
        what=f"peer {name} changed",
        do=lambda edited: edited.change_peer(name, changes(edited), by=_by(visitor), expected_sha256=sha256 or None),
        command=lambda edited: command_for(edited.path, "change", name, values=changes(edited)),
        place=name,
        form=form,
    )
    return _answer(request, visitor, wish)


@router.post("/peers/{name}/remove")
def remove_peer(request: Request, visitor: Changing, name: str, sha256: _Sha256 = "") -> HTMLResponse:
    """Take a peer out."""
    wish = _Wish(
        what=f"peer {name} removed",
        do=lambda edited: edited.remove_peer(name, by=_by(visitor), expected_sha256=sha256 or None),
        command=lambda edited: command_for(edited.path, "remove", name),
        place=name,
    )
    return _answer(request, visitor, wish)


@router.post("/peers/allow")
def allow_caller(
    request: Request, visitor: Changing, calling_aet: Annotated[str, Form()], address: Annotated[str, Form()]
) -> HTMLResponse:
    """Let a caller in that was refused."""
    welcome = Welcome(calling_aet=calling_aet, address=address)
    callers = site_of(request).index.refused_callers.newest()
    wish = _Wish(
        what=f"refused caller {calling_aet} let in",
        do=lambda edited: allow(edited, callers, welcome, by=_by(visitor)),
        command=lambda edited: command_for(edited.path, "allow", calling_aet, "--from", address),
    )
    return _answer(request, visitor, wish)


@router.post("/peers/undo")
def undo(
    request: Request, visitor: Changing, version: Annotated[int, Form()], sha256: Annotated[str, Form()]
) -> HTMLResponse:
    """Go back to the version before the last edit."""
    wish = _Wish(
        what=f"version {version} restored",
        do=lambda edited: edited.restore(version, by=_by(visitor), expected_sha256=sha256),
        command=lambda edited: f"sudo dicom-node --config {edited.path} config restore {version}",
    )
    return _answer(request, visitor, wish)


def _answer(request: Request, visitor: Visitor, wish: _Wish) -> HTMLResponse:
    """Do it, or say why not; the audit trail is told in both cases."""
    site = site_of(request)
    try:
        edited = Configuration(site.file.path, clock=site.clock)
        edit = wish.do(edited)
    except NotWritableError as error:
        command = _command(wish, site)
        return _refused(request, visitor, wish, Refusal(problems=(error.reason,), command=command))
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        return _refused(request, visitor, wish, Refusal(problems=problems))
    except UnknownPeerError as error:
        raise HTTPException(404, error.reason) from error
    except (NodeError, StorageError) as error:
        return _refused(request, visitor, wish, Refusal(problems=(str(error),)))
    record(request, visitor, Deed.PEER_CHANGED, words=edit.what)
    site.file.current()
    title = edit.what if edit.version else "Nothing changed: the file says so already"
    words = "The node takes it up within a few seconds; associations that are open go on." if edit.version else ""
    return show(request, visitor, notice=Notice(title=title, words=words, is_success=True))


def _refused(request: Request, visitor: Visitor, wish: _Wish, refusal: Refusal) -> HTMLResponse:
    """The page once more, with why beside the form; see `rendering` for its status."""
    record(request, visitor, Deed.PEER_CHANGED, words=f"not done: {wish.what}", is_success=False)
    placed = replace(refusal, place=wish.place, form=wish.form)
    return show(request, visitor, refusal=placed)


def _command(wish: _Wish, site: Site) -> str:
    """That does it; empty where the form cannot even be read."""
    try:
        return wish.command(Configuration(site.file.path, clock=site.clock))
    except (ConfigError, NodeError):
        return ""


def _peer_and_block(edited: Configuration, name: str) -> tuple[Peer, dict[str, Any]]:
    """A peer as it holds, and as the file has it."""
    peer = peer_named(edited.settings(), name)
    return peer, blocks_by_name(edited)[name]


def _by(visitor: Visitor) -> str:
    return visitor.name or f"visitor of the pages at {visitor.address}"
