"""The metrics of a node for Prometheus, computed when they are asked for.

Names follow prometheus.io/docs/practices/naming. Labels are states and the names of configured peers, nothing else: what a
stranger calls itself, a patient or a study never becomes a label.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from shutil import disk_usage
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.audit.reading import waiting_count
from dicom_node.audit.trail import trail_folder
from dicom_node.clock import Clock
from dicom_node.pack_store import PackStoreError, chosen_pack
from dicom_node.tls.lifetimes import days_left_of_files
from dicom_node.watching.gpus import gpus_from
from pipeline.errors import ModelPackError
from pipeline.pack_title import read_title
from storage.errors import StorageError
from storage.figures import NOTHING_COUNTED, Counted, Figures, figures, newest_instance, received_since
from storage.index import Index
from storage.models import Progress
from storage.records import Heartbeat

OTHER = "other"
"""Label of callers that are no configured peer."""


class NodeCollector(Collector):
    """Looks at index, disk and configuration on each scrape."""

    def __init__(self, settings: Callable[[], Settings], engine: Engine, *, clock: Clock) -> None:
        """Count received objects from now on, as a counter does that begins with its process."""
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._index = Index(engine, now=clock.now)
        self._counted: Counted | None = None
        self._objects: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._lock = Lock()

    def start(self) -> None:
        """Count what is received from here on.

        Raises:
            StorageError: The index cannot be read.
        """
        self._counted = newest_instance(self._engine)

    def collect(self) -> Iterator[Metric]:
        """Every metric; those of the index are missing while it cannot be read."""
        is_up = True
        found: list[Metric] = []
        try:
            found = list(self._of_index())
        except StorageError:
            is_up = False
        yield _gauge("index_up", "Whether the index can be read.", is_up)
        yield from found
        yield from self._of_machine()

    def _of_index(self) -> Iterator[Metric]:
        now = figures(self._engine)
        studies = GaugeMetricFamily("dicom_node_studies", "Studies by state.", labels=["state"])
        for state, count in self._index.counts_by_state().items():
            studies.add_metric([state], count)
        yield studies
        yield from self._waiting(now)
        yield from self._received()
        yield from self._deliveries(now)
        yield from self._processes(self._index.heartbeats())

    def _waiting(self, now: Figures) -> Iterator[Metric]:
        oldest = GaugeMetricFamily(
            "dicom_node_oldest_waiting_seconds", "Age of the study that is in a state for longest.", labels=["state"]
        )
        for state, since in now.waiting_since.items():
            oldest.add_metric([state], (self._clock.now() - since).total_seconds())
        yield oldest
        if now.last_received_at:
            at = now.last_received_at.timestamp()
            yield _gauge("last_received_timestamp_seconds", "When the last object was received.", at)

    def _received(self) -> Iterator[Metric]:
        with self._lock:
            if self._counted is None:
                self.start()
            self._counted, came = received_since(self._engine, self._counted or NOTHING_COUNTED)
            peers = {peer.ae_title: peer.name for peer in self._settings().peers}
            for one in came:
                peer = peers.get(one.calling_aet, OTHER)
                self._objects[peer] += one.objects
                self._bytes[peer] += one.size_bytes
            totals = [(peer, self._objects[peer], self._bytes[peer]) for peer in (*peers.values(), OTHER)]
        objects = CounterMetricFamily(
            "dicom_node_received_objects", "Objects received since this process began.", labels=["peer"]
        )
        sizes = CounterMetricFamily(
            "dicom_node_received_bytes", "Bytes of objects received since this process began.", labels=["peer"]
        )
        for peer, count, size_bytes in totals:
            objects.add_metric([peer], count)
            sizes.add_metric([peer], size_bytes)
        yield objects
        yield sizes

    def _deliveries(self, now: Figures) -> Iterator[Metric]:
        deliveries = GaugeMetricFamily(
            "dicom_node_deliveries", "Result objects by destination and state.", labels=["destination", "state"]
        )
        up = GaugeMetricFamily(
            "dicom_node_destination_up", "Whether a destination was reached.", labels=["destination"]
        )
        unsettled = GaugeMetricFamily(
            "dicom_node_uncommitted_objects", "Delivered and not committed objects.", labels=["destination", "state"]
        )
        for peer in self._settings().destinations:
            for state in Progress:
                deliveries.add_metric([peer.name, state], now.deliveries.get((peer.name, state), 0))
            up.add_metric([peer.name], peer.name not in now.down_since)
            if peer.storage_commitment:
                counts = self._index.commitments.counts_of(peer.name)
                for name in ("pending", "resending", "failed", "unconfirmed"):
                    unsettled.add_metric([peer.name, name], getattr(counts, name))
        yield from (deliveries, up, unsettled)

    def _processes(self, heartbeats: tuple[Heartbeat, ...]) -> Iterator[Metric]:
        ages = GaugeMetricFamily(
            "dicom_node_heartbeat_age_seconds",
            "Time since the last sign of life of a process.",
            labels=["process", "machine"],
        )
        for beat in heartbeats:
            ages.add_metric([beat.process, beat.machine], (self._clock.now() - beat.at).total_seconds())
        yield ages
        gpus = next((gpus_from(beat.info) for beat in heartbeats if beat.process == "work"), None)
        if gpus is not None:
            yield _gauge("gpus", "GPUs that the worker sees.", gpus)

    def _of_machine(self) -> Iterator[Metric]:
        settings = self._settings()
        try:
            usage = disk_usage(settings.data_dir)
            yield _gauge("disk_free_bytes", "Free space on the disk of the data folder.", usage.free)
            yield _gauge("disk_total_bytes", "Size of the disk of the data folder.", usage.total)
        except OSError:
            yield _gauge("disk_free_bytes", "Free space on the disk of the data folder.", 0)
        floor = settings.storage.free_floor_bytes
        yield _gauge("disk_floor_bytes", "Free space below which senders are refused.", floor)
        if settings.audit.syslog_host:
            waiting = waiting_count(trail_folder(settings))
            yield _gauge("audit_waiting_messages", "Audit messages that the syslog server does not have.", waiting)
        yield self._certificates()
        yield self._model_pack()

    def _certificates(self) -> Metric:
        days = GaugeMetricFamily(
            "dicom_node_certificate_days_left",
            "Days until the first certificate of a file ends; not more than 0 where it cannot be used.",
            labels=["subject", "kind"],
        )
        for subject, kind, left in days_left_of_files(self._settings(), now=self._clock.now()):
            days.add_metric([subject, kind], left)
        return days

    def _model_pack(self) -> Metric:
        info = GaugeMetricFamily(
            "dicom_node_model_pack_info", "1 for the model pack in use: name, version, hash.", labels=["pack"]
        )
        try:
            title = read_title(chosen_pack(self._settings()))
        except (PackStoreError, ModelPackError):
            return info
        info.add_metric([title.words], 1)
        return info


def registry_of(settings: Callable[[], Settings], engine: Engine, *, clock: Clock) -> CollectorRegistry:
    """The metrics of a node."""
    registry = CollectorRegistry()
    # Without a look at the index: it may not be there yet.
    registry.register(_Undescribed(NodeCollector(settings, engine, clock=clock)))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics in the text format of Prometheus."""
    return generate_latest(registry)


class _Undescribed(Collector):
    """A collector that the registry does not run in order to learn its names."""

    def __init__(self, collector: NodeCollector) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        return self._collector.collect()


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dicom_node_{name}", sentence, value=value)
