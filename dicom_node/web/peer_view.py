"""The page of AE titles: peers with their forms, refused callers, what can be undone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from config.errors import ConfigError
from config.load import document_from_text
from config.settings import Settings
from dicom_node.configuring import Configuration, ConfigVersion
from dicom_node.errors import NodeError
from dicom_node.refused import refused_lines
from dicom_node.web.door import Visitor
from dicom_node.web.peer_forms import SWITCHES, PeerForm, form_of
from dicom_node.web.rendering import render
from dicom_node.web.site import Site, site_of
from storage.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """How something ended."""

    title: str
    words: str
    is_success: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an edit was not made."""

    problems: tuple[str, ...]
    """As `[table].key: problem (got value)`."""
    command: str = ""
    """That does it, for who may write the file."""
    place: str = ""
    """Beside which form: `add`, or the name of a peer; empty: at the top."""
    form: PeerForm | None = None
    """What was typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The configuration file as the page shows it."""

    path: str = ""
    """Empty where there is none."""
    sha256: str = ""
    """Goes with each form: who edits something else than what they looked at is told so."""
    is_writable: bool = False
    forms: dict[str, PeerForm] = field(default_factory=dict)
    """By name of the peer."""
    undone: ConfigVersion | None = None
    """The edit that can be undone."""
    version_before: int = 0


def show(
    request: Request,
    visitor: Visitor,
    *,
    notice: Notice | None = None,
    refusal: Refusal | None = None,
) -> HTMLResponse:
    """The page, with how the last thing ended."""
    site = site_of(request)
    settings = site.settings
    return render(
        request,
        visitor,
        "peers.html",
        peers=settings.peers,
        answers={peer.name: site.index.answers_of(peer.name) for peer in settings.peers},
        outages={peer.name: site.index.outages.of(peer.name) for peer in settings.peers},
        refused=refused_lines(settings, site.index.refused_callers.newest()),
        file=_file_of(site) if visitor.may_change else _File(),
        switches=SWITCHES,
        empty_form=PeerForm(),
        notice=notice,
        refusal=refusal,
    )


def blocks_by_name(edited: Configuration) -> dict[str, dict[str, Any]]:
    """The `[[peers]]` blocks as the file has them; ConfigError where it cannot be read."""
    peers = document_from_text(edited.text(), name=str(edited.path)).get("peers", [])
    return {str(block.get("name")): block for block in peers if isinstance(block, dict)}


def _file_of(site: Site) -> _File:
    try:
        edited = Configuration(site.file.path, clock=site.clock)
        blocks = blocks_by_name(edited)
        undone, before = _undoable(edited)
        return _File(
            path=str(edited.path),
            sha256=edited.sha256(),
            is_writable=edited.is_writable(),
            forms=dict(_forms(site.settings, blocks)),
            undone=undone,
            version_before=before,
        )
    except (ConfigError, NodeError, StorageError, OSError):
        return _File(path=str(site.file.path or ""))


def _forms(settings: Settings, blocks: dict[str, dict[str, Any]]) -> Iterator[tuple[str, PeerForm]]:
    for peer in settings.peers:
        if peer.name in blocks:
            yield peer.name, form_of(peer, blocks[peer.name])


def _undoable(edited: Configuration) -> tuple[ConfigVersion | None, int]:
    """The newest edit and the version before it; none where the file was changed by hand since."""
    newest, *older = (*edited.history(), None)
    before = older[0] if older else None
    return (newest, before.number) if newest and newest.is_current and before else (None, 0)
