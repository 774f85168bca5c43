"""The typed settings of a node; `node.toml` beside this module explains each one."""

import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from config.alerts import AlertsSettings
from config.audit import AuditSettings
from config.chest_words import CHEST_WORDS
from config.ray import RaySettings
from config.retention import RetentionSettings
from config.rules import ResultKind, RuleSettings
from config.series import SeriesRuleSettings
from config.storage import GIBIBYTE, MachineName, StorageSettings
from config.table import Table
from config.tls import CertificateName, FileOrNone, Fingerprints, ListenTlsSettings
from config.values import (
    AbsolutePath,
    AddressOrNetwork,
    AeTitle,
    AeTitleOrNone,
    Duration,
    FolderOrNone,
    Host,
    ListenPort,
    LongString,
    Name,
    NameOrNone,
    PlugInName,
    Port,
    SearchPattern,
)
from config.watching import WatchingSettings
from config.web import WebSettings


def _not_below(value: float, info: ValidationInfo, other: str) -> float:
    """The value; ValueError if another setting of its table, read before it, is larger."""
    if value < info.data.get(other, 0.0):
        problem = f"must not be less than {other}"
        raise ValueError(problem)
    return value


class NodeSettings(Table):
    """Who the node is and where it keeps what it must not lose."""

    ae_title: AeTitle = "DICOMNODE"
    data_dir: AbsolutePath = Path("/var/lib/dicom-node")
    machine: MachineName = ""
    """Among those that share the data folder; empty: its host name."""


class ListenSettings(Table):
    """The listener."""

    host: Host = "127.0.0.1"
    port: ListenPort = 11112
    """0 takes a free port: for tests and demonstrations."""
    processes: Annotated[int, Field(ge=0, le=16)] = 0
    """0: one for every two cores, at most 4."""
    plain: bool = True
    """Whether there is a port without TLS."""
    load_balancers: Annotated[tuple[AddressOrNetwork, ...], Field(strict=False)] = ()
    """Whose connections begin with a header of the PROXY protocol."""
    accept_unknown_callers: bool = False
    maximum_associations: Annotated[int, Field(ge=1, le=200)] = 64
    maximum_associations_per_address: Annotated[int, Field(ge=1, le=200)] = 16
    maximum_silent_connections: Annotated[int, Field(ge=1, le=4096)] = 128
    backlog: Annotated[int, Field(ge=1, le=4096)] = 128
    first_pdu_timeout_s: Duration = 5.0
    maximum_pdu_bytes: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    network_timeout_s: Duration = 60.0
    maximum_object_bytes: Annotated[int, Field(ge=1_048_576)] = 2 * GIBIBYTE
    maximum_association_bytes: Annotated[int, Field(ge=1_048_576)] = 50 * GIBIBYTE
    maximum_association_objects: Annotated[int, Field(ge=1)] = 50_000
    accept_notifications: bool = False
    answer_storage_commitment: bool = True
    tls: ListenTlsSettings = ListenTlsSettings()

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        """ValueError for a listener that nobody could reach."""
        if not (self.plain or self.tls.enabled):
            problem = "plain is false and tls.enabled too: no port would be open"
            raise ValueError(problem)
        if self.plain and self.tls.enabled and 0 != self.port == self.tls.port:
            problem = "port and tls.port must differ (PS3.15 B.12)"
            raise ValueError(problem)
        return self


class CompletenessSettings(Table):
    """When a study counts as complete."""

    quiet_period_s: Duration = 60.0
    cap_s: Duration = 3600.0
    sweep_interval_s: Duration = 1.0
    settle_s: Duration = 2.0
    slice_positions: bool = True
    association_release: bool = True
    notifications: bool = True
    count_peer: NameOrNone = ""
    """Peer that is asked how many images it has; empty: nobody."""

    @field_validator("cap_s")
    @classmethod
    def _check_cap(cls, cap_s: float, info: ValidationInfo) -> float:
        return _not_below(cap_s, info, "quiet_period_s")


class CompletenessOverrides(Table):
    """What is different in [completeness] for studies from one peer; None: as there."""

    quiet_period_s: Duration | None = None
    cap_s: Duration | None = None
    settle_s: Duration | None = None
    slice_positions: bool | None = None
    association_release: bool | None = None
    notifications: bool | None = None
    count_peer: NameOrNone | None = None


class PriorsSettings(Table):
    """Earlier studies that are compared with."""

    maximum_count: Annotated[int, Field(ge=0, le=16)] = 3
    maximum_age_days: Annotated[int, Field(ge=1)] = 730
    maximum_wait_s: Duration = 600.0
    fetch_chest_words: Annotated[tuple[SearchPattern, ...], Field(strict=False)] = CHEST_WORDS
    fetch_query_timeout_s: Duration = 30.0
    fetch_retrieval_timeout_s: Duration = 300.0
    rerun_when_late: bool = False


class PipelineSettings(Table):
    """The analysis."""

    engine: Literal["local", "ray"] = "local"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    model_pack: FolderOrNone = None
    """None: the pack that `model install` made the current one, else the one that comes with the package."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    lung_segmenter: PlugInName = ""
    lesion_detector: PlugInName = ""
    alignment: Literal["affine", "deformable"] = "affine"
    correct_gantry_tilt: bool = False
    time_limit_s: Duration = 1800.0
    memory_limit_bytes: Annotated[int, Field(ge=0)] = 0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    lease_s: Duration = 60.0
    threads: Annotated[int, Field(ge=0)] = 0


class ResultsSettings(Table):
    """What the node writes about a study."""

    sr_layout: Literal["viewers", "segments_only"] = "viewers"
    device_serial_number: Annotated[LongString, Field(min_length=1)] = "1"
    institution: LongString = ""


class OutboxSettings(Table):
    """Delivery of results."""

    first_retry_s: Duration = 5.0
    maximum_retry_s: Duration = 600.0
    give_up_after_days: Duration = 7.0
    answer_timeout_s: Duration = 180.0
    commitment_wait_s: Duration = 3600.0
    commitment_give_up_after_days: Duration = 7.0
    commitment_resends: Annotated[int, Field(ge=0, le=100)] = 3

    @field_validator("maximum_retry_s")
    @classmethod
    def _check_retries(cls, maximum_retry_s: float, info: ValidationInfo) -> float:
        return _not_below(maximum_retry_s, info, "first_retry_s")


class LogSettings(Table):
    """What the node says about itself."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


SrClassName = Literal["comprehensive", "comprehensive_3d", "enhanced", "basic_text"]


class Peer(Table):
    """Another application entity on the network."""

    name: Name
    ae_title: AeTitle
    host: Host
    port: Port
    may_send: bool = True
    receives_results: bool = False
    results: Annotated[tuple[ResultKind, ...], Field(strict=False, min_length=1)] = ("sr", "seg", "pdf")
    sr_classes: Annotated[tuple[SrClassName, ...], Field(strict=False, min_length=1)] = (
        "comprehensive",
        "enhanced",
        "basic_text",
    )
    """Best first; the peer gets the first that it accepts."""
    capture_without_seg: bool = True
    compression: Literal["none", "deflated"] = "none"
    storage_commitment: bool = False
    commitment_ae_title: AeTitleOrNone = None  # `ae_title`
    commitment_port: ListenPort = 0
    """0: `port`."""
    completeness: CompletenessOverrides = CompletenessOverrides()
    query_retrieve: Literal["none", "move", "get"] = "none"
    query_ae_title: AeTitleOrNone = None
    """None: `ae_title`."""
    query_port: ListenPort = 0
    """0: `port`."""
    tls: bool = False
    tls_ca: FileOrNone = None
    """None: the authorities that this machine trusts."""
    tls_server_name: CertificateName = ""
    """Empty: `host`."""
    tls_fingerprints: Fingerprints = ()
    """SHA-256 of its certificate; given, they alone decide."""
    tls_certificate: FileOrNone = None
    """None: that of the TLS port of this node, as far as it has one."""
    tls_key: FileOrNone = None
    """None: in the file of the certificate."""
    may_call_plain: bool = False
    """Whether a peer with `tls` may still call without."""
    caller_fingerprints: Fingerprints = ()
    caller_name: CertificateName = ""
    """What the certificate must be called with which it calls; empty: any name."""
    series: Annotated[tuple[SeriesRuleSettings, ...], Field(strict=False)] = ()
    """Rules for the choice of the series among what this peer sent."""

    @property
    def is_bound(self) -> bool:
        """Whether its AE title belongs to a certificate."""
        return bool(self.caller_fingerprints or self.caller_name)


class Settings(Table):
    """Everything an administrator decides."""

    node: NodeSettings = NodeSettings()
    listen: ListenSettings = ListenSettings()
    storage: StorageSettings = StorageSettings()
    retention: RetentionSettings = RetentionSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    priors: PriorsSettings = PriorsSettings()
    pipeline: PipelineSettings = PipelineSettings()
    ray: RaySettings = RaySettings()
    results: ResultsSettings = ResultsSettings()
    outbox: OutboxSettings = OutboxSettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    watching: WatchingSettings = WatchingSettings()
    alerts: AlertsSettings = AlertsSettings()
    web: WebSettings = WebSettings()
    peers: Annotated[tuple[Peer, ...], Field(strict=False)] = ()
    rule: Annotated[tuple[RuleSettings, ...], Field(strict=False)] = ()
    """The first that fits a study decides about it; where none fits, it runs and goes where the peers say."""

    @field_validator("peers")
    @classmethod
    def _give_certificate(cls, peers: tuple[Peer, ...], info: ValidationInfo) -> tuple[Peer, ...]:
        """A node shows the certificate of its TLS port also where it calls, unless a peer wants another one."""
        listen = info.data.get("listen")
        if not isinstance(listen, ListenSettings) or listen.tls.certificate is None:
            return peers
        own = {"tls_certificate": listen.tls.certificate, "tls_key": listen.tls.key}
        return tuple(
            peer.model_copy(update=own) if peer.tls and peer.tls_certificate is None else peer for peer in peers
        )

    @property
    def data_dir(self) -> Path:
        """Folder of objects, index and results."""
        return self.node.data_dir

    @property
    def machine(self) -> str:
        """Name of this machine where several share the data folder; else empty: it is the only one."""
        return (self.node.machine or socket.gethostname()) if self.storage.shared else ""

    @property
    def database_url(self) -> str:
        """Where the index is: as configured, else the SQLite file in the data folder."""
        return self.storage.database_url or f"sqlite:///{self.data_dir / 'index.sqlite'}"

    @property
    def senders(self) -> tuple[Peer, ...]:
        """Peers that may send to the node."""
        return tuple(peer for peer in self.peers if peer.may_send)

    def completeness_of(self, calling_aet: str) -> CompletenessSettings:
        """When studies from a source count as complete: as in [completeness], with what its peer has different."""
        overrides = next((peer.completeness for peer in self.peers if peer.ae_title == calling_aet), None)
        if overrides is None:
            return self.completeness
        return self.completeness.model_copy(update=overrides.model_dump(exclude_none=True))

    @property
    def archives(self) -> tuple[Peer, ...]:
        """Peers that are asked for earlier studies."""
        return tuple(peer for peer in self.peers if peer.query_retrieve != "none")

    @property
    def committers(self) -> tuple[Peer, ...]:
        """Peers that receive results and are asked whether they keep them."""
        return tuple(peer for peer in self.peers if peer.receives_results and peer.storage_commitment)

    @property
    def commitment_titles(self) -> frozenset[str]:
        """AE titles under which peers call for storage commitment, whether they may send or not."""
        peers = [peer for peer in self.peers if peer in self.committers or peer.commitment_ae_title]
        return frozenset(title for peer in peers for title in (peer.ae_title, peer.commitment_ae_title) if title)

    @property
    def destinations(self) -> tuple[Peer, ...]:
        """Peers that receive results."""
        return tuple(peer for peer in self.peers if peer.receives_results)
