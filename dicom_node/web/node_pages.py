"""This node, its settings, its health."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from config.secrets import shown_value
from config.settings import Settings
from dicom_node.cluster.words import actor_in_words, cluster_trouble
from dicom_node.pack_store import PackStoreError, chosen_pack
from dicom_node.status import NodeStatus, ProcessStatus, node_status, processes_of
from dicom_node.tls.survey import survey_certificates
from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import Looking, record
from dicom_node.web.rendering import render
from dicom_node.web.retention_view import retention_of
from dicom_node.web.site import Site, site_of
from storage.address import parse_address

router = APIRouter()

_BLOCKS = frozenset({"peers", "rule"})
"""Shown on pages of their own."""
_TYPED_INTO_THE_PACS = ("[node].ae_title", "[listen].host", "[listen].port", "[listen].plain", "[listen.tls].")
_PARTS = {"listen": "Listener", "work": "Worker", "web": "Pages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of the node at a glance."""

    name: str
    colour: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """One setting."""

    key: str
    value: str
    default: str
    is_default: bool
    """Whether the file does not say it."""
    until_restart_of: tuple[str, ...]
    """Parts of the node that go on by what it was before, until they are started anew."""


@router.get("/")
def show_node(request: Request, visitor: Looking) -> HTMLResponse:
    """What to type into the PACS, and how the node is."""
    site = site_of(request)
    status = node_status(site.settings, site.index, clock=site.clock)
    record(request, visitor, Deed.NODE_SEEN)
    return render(
        request,
        visitor,
        "node.html",
        settings=site.settings,
        status=status,
        components=components_of(site, status),
        of_before=[key for key in _behind(site) if key.startswith(_TYPED_INTO_THE_PACS)],
    )


@router.get("/components")
def show_health(request: Request, visitor: Looking) -> HTMLResponse:
    """Components and alerts."""
    site = site_of(request)
    status = node_status(site.settings, site.index, clock=site.clock)
    record(request, visitor, Deed.HEALTH_SEEN)
    return render(
        request,
        visitor,
        "health.html",
        status=status,
        components=components_of(site, status),
        certificates=tuple(survey_certificates(site.settings, now=site.clock.now())),
        retention=retention_of(site),
        problems=site.file.problems,
    )


@router.get("/settings")
def show_settings(request: Request, visitor: Looking) -> HTMLResponse:
    """Every setting, its default, and whether the file says it."""
    site = site_of(request)
    record(request, visitor, Deed.SETTINGS_SEEN)
    shown = [(name, table) for name, table in site.settings if name not in _BLOCKS]
    behind = _behind(site)
    tables = {
        heading: rows
        for name, table in shown
        for heading, rows in _tables(name, table, getattr(Settings(), name), behind)
    }
    return render(
        request, visitor, "settings.html", tables=tables, file_path=site.file.path, problems=site.file.problems
    )


def _behind(site: Site) -> dict[str, tuple[str, ...]]:
    """Parts of the node that go on by what a key of the file was at their start, by key."""
    behind: dict[str, tuple[str, ...]] = {}
    for process in processes_of(site.index, now=site.clock.now()):
        for key in process.heartbeat.needs_restart if process.is_alive else ():
            behind[key] = (*behind.get(key, ()), _title(process))
    return behind


def components_of(site: Site, status: NodeStatus) -> tuple[Component, ...]:
    """Processes, cluster, disk, database, weights."""
    running = (*_processes(status), *_workers(status), *_cluster(site, status))
    return (*running, _disk(status), _database(site), _weights(site))


def _processes(status: NodeStatus) -> Iterator[Component]:
    seen = {process.heartbeat.process for process in status.processes}
    for name in ("listen", "work"):
        if name not in seen:
            yield Component(name=_PARTS[name], colour="bad", state="never ran", detail="start it: dicom-node run")
    for process in status.processes:
        title = _title(process)
        if process.is_alive and process.heartbeat.needs_restart:
            words = f"changed since its start: {', '.join(process.heartbeat.needs_restart)}"
            yield Component(name=title, colour="busy", state="needs a restart", detail=words)
        elif process.is_alive:
            seen_s = f"last sign of life {process.silent_s:.0f} s ago"
            words = "; ".join(filter(None, (process.heartbeat.info, seen_s)))
            yield Component(name=title, colour="good", state="running", detail=words)
        else:
            words = f"no sign of life for {process.silent_s:.0f} s: is it running?"
            yield Component(name=title, colour="bad", state="silent", detail=words)


def _title(process: ProcessStatus) -> str:
    """The part, and its machine where there are several."""
    beat = process.heartbeat
    return _PARTS.get(beat.process, beat.process) + (f" on {beat.machine}" if beat.machine else "")


def _workers(status: NodeStatus) -> Iterator[Component]:
    for worker in status.workers:
        state = "active" if worker.is_active else "stands by"
        yield Component(name=worker.name, colour="good", state=state, detail="on the database server")


def _cluster(site: Site, status: NodeStatus) -> Iterator[Component]:
    """The Ray cluster, where the node has one; that it is open stands among the alerts."""
    if site.settings.pipeline.engine != "ray":
        return
    trouble = cluster_trouble(status.cluster, now=status.at)
    if trouble or status.cluster is None:
        yield Component(name="Ray cluster", colour="bad", state="not there", detail=trouble)
        return
    actors = "; ".join(actor_in_words(actor) for actor in status.cluster.actors)
    yield Component(name="Ray cluster", colour="good", state="running", detail=actors)


def _disk(status: NodeStatus) -> Component:
    disk = status.disk
    gib = f"{disk.free_bytes / 2**30:.1f} of {disk.total_bytes / 2**30:.0f} GiB free"
    if disk.free_bytes < disk.refused_below_bytes:
        return Component(name="Disk", colour="bad", state="full", detail=f"{gib}: senders are refused")
    return Component(name="Disk", colour="good", state="room", detail=gib)


def _database(site: Site) -> Component:
    backend = parse_address(site.settings.database_url).get_backend_name()
    return Component(name="Database", colour="good", state="answers", detail=backend)


def _weights(site: Site) -> Component:
    try:
        pack = chosen_pack(site.settings)
    except PackStoreError as error:
        return Component(name="Weights", colour="bad", state="damaged", detail=error.reason)
    device = f"device {site.settings.pipeline.device}"
    if pack is None:
        words = f"demo weights of the package, not for patients; {device}"
        return Component(name="Weights", colour="busy", state="demo", detail=words)
    return Component(name="Weights", colour="good", state="installed", detail=f"{pack.name}; {device}")


def _tables(
    name: str, now: BaseModel, default: BaseModel, behind: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[ShownSetting, ...]]]:
    """The keys of a table, then those of each table inside it, under the names that the file gives them."""
    values = [(key, value, getattr(default, key)) for key, value in now]
    rows = [
        _row(now, key, usual, behind.get(f"[{name}].{key}", ()))
        for key, value, usual in values
        if not isinstance(value, BaseModel)
    ]
    yield name, tuple(rows)
    for key, value, usual in values:
        if isinstance(value, BaseModel):
            yield from _tables(f"{name}.{key}", value, usual, behind)


def _row(now: BaseModel, key: str, usual: object, until_restart_of: tuple[str, ...]) -> ShownSetting:
    return ShownSetting(
        key=key,
        value=_shown(key, getattr(now, key)),
        default=_shown(key, usual),
        is_default=key not in now.model_fields_set,
        until_restart_of=until_restart_of,
    )


def _shown(name: str, value: object) -> str:
    """The value as the file would have it, without secrets."""
    value = shown_value(name, value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value) or "none"
    return "not set" if value is None or value == "" else str(value)
