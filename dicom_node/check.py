"""Whether a node can do its work here: what an administrator asks before the first study and after each change."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import packages_distributions
from pathlib import Path
from shutil import disk_usage

import torch
from pysqlite3.dbapi2 import sqlite_version

from config.settings import Peer, Settings
from dicom_node.calling import PeerUnreachableError
from dicom_node.clock import SystemClock
from dicom_node.cluster.checking import check_cluster
from dicom_node.commitment.association import commitment_association
from dicom_node.destinations import choices_of, classes_of
from dicom_node.errors import NodeError
from dicom_node.pack_store import PackStoreError, chosen_pack
from dicom_node.peer_names import without_name
from dicom_node.peers import accepted_classes, echo
from dicom_node.retrieve.probe import probe
from dicom_node.tls.survey import survey_certificates
from pipeline.errors import ModelPackError, PlugInError
from pipeline.model_pack import load_model_pack
from pipeline.plug_ins import PlugPoint, find_plug_in
from pipeline.syntaxes import survey_codecs
from storage.address import is_sqlite, parse_address
from storage.database import open_engine
from storage.errors import NoIndexYetError, StorageError
from storage.index import Index
from storage.lost_index import has_received_files, knows_study, refuse_lost_index
from storage.mounts import network_file_system_of, why_not_shareable

DISTRIBUTION = "dicom-node"
_OUR_PACKAGES = ("dicom_node", "pipeline", "storage", "config")


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNING = "warning"
    """The node works, but not as well as it could."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing that was looked at."""

    subject: str
    outcome: Outcome
    detail: str
    """What was found; for anything but a pass, also what to do."""


def run_checks(settings: Settings) -> Iterator[CheckResult]:
    """Look at everything that the node needs, one after the other; nothing is changed.

    Args:
        settings: Already valid: a configuration that does not load has no further checks.
    """
    yield _passed("configuration", f"{len(settings.peers)} peers, {len(settings.destinations)} receive results")
    yield check_packages()
    yield check_data_folder(settings.data_dir, free_floor_bytes=settings.storage.free_floor_bytes)
    yield from check_file_system(settings)
    yield check_index(settings)
    yield check_chosen_pack(settings)
    yield from check_plug_ins(settings)
    yield from check_engine(settings)
    yield check_codecs()
    yield from check_tls(settings, now=SystemClock().now())
    if not settings.destinations:
        yield _warning("peers", "no peer receives results: set receives_results = true in one [[peers]] block")
    for peer in settings.peers:
        yield from check_peer(peer, settings)


def check_packages() -> CheckResult:
    """That no other distribution has put files over our packages, which pip does without a word."""
    owners = packages_distributions()
    foreign = {
        name: sorted(set(owners.get(name, ())) - {DISTRIBUTION})
        for name in _OUR_PACKAGES
        if set(owners.get(name, ())) != {DISTRIBUTION}
    }
    if not foreign:
        return _passed("packages", f"{', '.join(_OUR_PACKAGES)} belong to {DISTRIBUTION} alone")
    named = "; ".join(f"{name} also belongs to {', '.join(others) or 'nobody'}" for name, others in foreign.items())
    return _failed("packages", f"{named}: install {DISTRIBUTION} into a virtual environment of its own")


def check_data_folder(data_dir: Path, *, free_floor_bytes: int) -> CheckResult:
    """That the data folder, or the folder that it will be made in, takes files and has room above the floor."""
    folder = data_dir if data_dir.exists() else data_dir.parent
    if not folder.is_dir():
        return _failed("data folder", f"{folder} is no folder: create it, owned by the user of the service")
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_bytes = disk_usage(folder).free
    except OSError as exc:
        return _failed("data folder", f"{folder}: {exc.strerror}: give it to the user of the service")
    room = f"{data_dir}, {free_bytes:,} bytes free, floor {free_floor_bytes:,}"
    if free_bytes < free_floor_bytes:
        return _failed("data folder", f"{room}: senders are refused with 0xA700 until there is room")
    if folder != data_dir:
        return _warning("data folder", f"{room}: made when the node starts, if its user may write to {folder}")
    return _passed("data folder", room)


def check_file_system(settings: Settings) -> Iterator[CheckResult]:
    """That the file system of the data folder is one that it may be on; nothing where it is a local one."""
    folder = settings.data_dir
    if settings.storage.shared:
        why = why_not_shareable(folder)
        words = f"shared as {settings.machine}, the others must have it at the same path"
        yield _failed("shared folder", f"{why}: see docs/listeners.md") if why else _passed("shared folder", words)
    elif kind := network_file_system_of(folder):
        yield _failed("data folder", f"{folder} is on {kind}: put it on a local disk, or see docs/listeners.md")


def check_index(settings: Settings) -> CheckResult:
    """`check_database`, and that received files have an index that knows of them."""
    url, data_dir = settings.database_url, settings.data_dir
    try:
        refuse_lost_index(url, data_dir)
        found = check_database(url)
        is_unknown = found.outcome is Outcome.PASSED and has_received_files(data_dir) and not knows_study(url)
    except StorageError as error:
        return _failed("database", str(error))
    if is_unknown:
        return _warning("database", f"{found.detail}; files are here that it does not know: dicom-node storage verify")
    return found


def check_database(url: str) -> CheckResult:
    """That the index opens, and that the SQLite at hand is one that two processes may write."""
    parsed = parse_address(url)
    version = f"SQLite {sqlite_version}" if is_sqlite(parsed) else parsed.get_backend_name()
    first_start = f"{version}; the index is made when the node starts for the first time"
    if is_sqlite(parsed) and not Path(parsed.database or "").is_file():
        return _passed("database", first_start)
    try:
        index = Index(open_engine(url), now=SystemClock().now)
        count = sum(index.counts_by_state().values())
    except NoIndexYetError:
        return _passed("database", first_start)
    except StorageError as error:
        return _failed("database", f"{version}: {error}")
    return _passed("database", f"{version}, {count} studies")


def check_chosen_pack(settings: Settings) -> CheckResult:
    """`check_model_pack` for the pack that the next study is analysed with."""
    try:
        folder = chosen_pack(settings)
    except PackStoreError as error:
        return _failed("model pack", error.reason)
    return check_model_pack(folder)


def check_plug_ins(settings: Settings) -> Iterator[CheckResult]:
    """That the plug-ins which the configuration names are installed."""
    named = {
        PlugPoint.LUNG_SEGMENTER: settings.pipeline.lung_segmenter,
        PlugPoint.LESION_DETECTOR: settings.pipeline.lesion_detector,
    }
    for point, name in named.items():
        if not name:
            continue
        try:
            yield _passed("plug-in", find_plug_in(point, name).title)
        except PlugInError as error:
            yield _failed("plug-in", error.reason)


def check_model_pack(folder: Path | None) -> CheckResult:
    """That the model pack is whole: every file has the hash that the pack names."""
    try:
        pack = load_model_pack(folder)
    except ModelPackError as error:
        return _failed("model pack", error.reason)
    return _passed("model pack", f"{pack.name} {pack.version}, sha256 {pack.sha256[:16]}")


def check_engine(settings: Settings) -> Iterator[CheckResult]:
    """That what analyses is there: the device of this machine, or the cluster."""
    if settings.pipeline.engine == "local":
        yield check_device(settings.pipeline.device)
    for found in check_cluster(settings):
        outcome = Outcome.FAILED if found.is_failure else Outcome.WARNING if found.is_warning else Outcome.PASSED
        yield CheckResult(subject=found.subject, outcome=outcome, detail=found.words)


def check_device(device: str) -> CheckResult:
    """That the device which the configuration names is there."""
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return _passed("device", f"CPU, {torch.get_num_threads()} threads")
    wanted = torch.device("cuda" if device == "auto" else device)
    if not torch.cuda.is_available() or (wanted.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return _failed("device", f'{device} is not there, {found} GPUs found: set [pipeline].device to "auto" or "cpu"')
    try:
        free_bytes, total_bytes = torch.cuda.mem_get_info(wanted)
    except RuntimeError as error:
        # The first line alone: the others are advice for who writes programs.
        said = next(iter(str(error).splitlines()), type(error).__name__)
        help_ = "look at nvidia-smi, free its memory or start the machine anew"
        return _failed("device", f'{device} does not answer: {said}: {help_}, or set [pipeline].device to "cpu"')
    return _passed("device", f"{torch.cuda.get_device_name(wanted)}, {free_bytes:,} of {total_bytes:,} bytes free")


def check_codecs() -> CheckResult:
    """Which compressed images the codecs at hand read; the listener takes all of them."""
    found = survey_codecs()
    words = f"read: {', '.join(found.readable) or 'none'}"
    if found.missing:
        hint = "studies that come so fail: install pylibjpeg with its codecs and pyjpegls"
        return _warning("compressed images", f"{words}; not read: {', '.join(found.missing)}: {hint}")
    return _passed("compressed images", words)


def check_tls(settings: Settings, *, now: datetime) -> Iterator[CheckResult]:
    """That every certificate which the configuration names can be used, and how long."""
    for found in survey_certificates(settings, now=now):
        outcome = Outcome.FAILED if found.is_unusable else Outcome.WARNING if found.is_doubtful else Outcome.PASSED
        yield CheckResult(subject=found.subject, outcome=outcome, detail=found.words)


def check_peer(peer: Peer, settings: Settings) -> Iterator[CheckResult]:
    """That a peer answers C-ECHO and, where it receives results, what it takes of them."""
    subject = f"peer {peer.name}"
    try:
        echo(peer, own_aet=settings.node.ae_title)
    except PeerUnreachableError as error:
        words = without_name(error.reason, peer.name)
        yield _failed(subject, words) if peer.receives_results else _warning(subject, f"{words}; it may still send")
        return
    yield _passed(subject, f"{peer.ae_title} at {peer.host}:{peer.port} answers C-ECHO")
    if peer.receives_results:
        yield check_result_classes(peer, settings)
    if peer in settings.committers:
        yield check_commitment(peer, settings)
    if peer.query_retrieve != "none":
        yield check_query_retrieve(peer, settings)


def check_result_classes(peer: Peer, settings: Settings) -> CheckResult:
    """What a destination takes of all that it may be sent, found out by negotiation, without sending anything."""
    subject = f"peer {peer.name}, results"
    try:
        answers = accepted_classes(peer, own_aet=settings.node.ae_title, sop_class_uids=classes_of(peer))
    except PeerUnreachableError as error:
        return _failed(subject, without_name(error.reason, peer.name))
    choices = choices_of(peer, {answer.sop_class_uid for answer in answers if answer.transfer_syntax_uids})
    words = "; ".join(choice.words for choice in choices)
    if not all(choice.is_filled for choice in choices):
        return _failed(subject, f"{words}: let it accept what it refuses, or change results or sr_classes of this peer")
    if any(choice.refuses for choice in choices):
        return _warning(subject, f"{words}: better results go out when it accepts what it refuses")
    return _passed(subject, words)


def check_commitment(peer: Peer, settings: Settings) -> CheckResult:
    """That a peer takes the question whether it keeps results; whether its reports come back only a delivery shows."""
    subject = f"peer {peer.name}, storage commitment"
    try:
        with commitment_association(peer, own_aet=settings.node.ae_title):
            pass
    except NodeError as error:
        return _failed(subject, without_name(error.reason, peer.name))
    listen = settings.listen
    port = f"port {listen.port}" if listen.plain else f"TLS port {listen.tls.port}"
    own = f"{settings.node.ae_title} at {port} of this machine"
    return _passed(subject, f"accepted; its reports come on an association of their own: it must know {own}")


def check_query_retrieve(peer: Peer, settings: Settings) -> CheckResult:
    """That a peer answers queries and offers the retrieval that the configuration names; no image is fetched."""
    subject = f"peer {peer.name}, earlier studies"
    try:
        words = probe(peer, own_aet=settings.node.ae_title, limit_s=settings.priors.fetch_query_timeout_s)
    except NodeError as error:
        return _failed(subject, without_name(error.reason, peer.name))
    if peer.query_retrieve == "move" and not peer.may_send:
        return _failed(subject, f"{words}; set may_send = true: with C-MOVE the peer sends to this node")
    return _passed(subject, words)


def _passed(subject: str, detail: str) -> CheckResult:
    return CheckResult(subject=subject, outcome=Outcome.PASSED, detail=detail)


def _warning(subject: str, detail: str) -> CheckResult:
    return CheckResult(subject=subject, outcome=Outcome.WARNING, detail=detail)


def _failed(subject: str, detail: str) -> CheckResult:
    return CheckResult(subject=subject, outcome=Outcome.FAILED, detail=detail)
