"""A node that fetches earlier studies: listener, index and fetchers in this process."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from builders.instances import ct_instance
from builders.listener import AE_TITLE, RunningListener, running_listener, send
from config.settings import CompletenessSettings, ListenSettings, NodeSettings, Peer, PriorsSettings, Settings
from config.storage import StorageSettings as Disk
from dicom_node.clock import SystemClock
from dicom_node.retrieve.duty import FetchStore, fetcher_for
from dicom_node.retrieve.fetch import Fetcher
from dicom_node.retrieve.waiting import FetchWatch
from storage.database import open_engine
from storage.fetch_records import FoundPriorView, PriorFetchView
from storage.index import Index
from storage.lifecycle import Event
from storage.records import StudyView

CURRENT = "1.2.3.4"
"""The study for which earlier ones are looked for; of 2 January 2026."""
IMAGES = 9


@dataclass(frozen=True, kw_only=True)
class FetchingNode:
    """A node that has received the current study, and nothing else."""

    listener: RunningListener
    index: Index
    settings: Settings
    fetcher: Fetcher

    def look(self) -> tuple[PriorFetchView, ...]:
        """The searches of the current study, as the sweep plans and sees them."""
        return FetchWatch(self.settings, self.index).look(CURRENT)

    def fetch(self) -> PriorFetchView:
        """Plan the search, run it once, say how it stands."""
        self.look()
        assert self.fetcher.fetch_due()
        (search,) = self.look()
        return search

    def found(self, search: PriorFetchView, study: str) -> FoundPriorView:
        """What became of a study that the PACS named."""
        (found,) = [one for one in search.found if one.study_instance_uid == study]
        return found

    def study(self, study: str) -> StudyView:
        """A study of the index."""
        view = self.index.study(study)
        assert view is not None
        return view

    def linked(self) -> list[str]:
        """Earlier studies of the index that the current one may be compared with."""
        candidates = self.index.prior_candidates(CURRENT, maximum_age_days=730)
        return [candidate.study_instance_uid for candidate in candidates]


@contextmanager
def fetching_node(
    folder: Path, peer: Peer, *, port: int = 0, current: Sequence[Dataset] = (), **priors: object
) -> Iterator[FetchingNode]:
    """A node with the current study in state waiting_for_priors; `priors` are keys of [priors]."""
    settings = fetching_settings(folder, peer, port=port, **priors)
    with node_that_fetches(settings, peer, current=current, sender=peer.ae_title) as node:
        yield node


@contextmanager
def node_that_fetches(
    settings: Settings, peer: Peer, *, current: Sequence[Dataset] = (), sender: str
) -> Iterator[FetchingNode]:
    """A node that a sender has given the current study to, without TLS."""
    with (
        running_listener(settings) as listener,
        closing(Index(open_engine(settings.database_url), now=SystemClock().now)) as index,
    ):
        sent = list(current) or [ct_instance(number) for number in range(1, 4)]
        assert set(send(listener.port, *sent, calling_aet=sender)) == {0}
        index.apply(CURRENT, Event.COMPLETED, why="all here")
        clock = SystemClock()
        receiver = FetchStore(settings.data_dir, index).receiver(settings, clock=clock)
        fetcher = fetcher_for(peer, settings, index, receiver=receiver, clock=clock)
        yield FetchingNode(listener=listener, index=index, settings=settings, fetcher=fetcher)


def fetching_settings(folder: Path, peer: Peer, *, port: int = 0, **priors: object) -> Settings:
    """Settings of a node that asks one PACS."""
    return Settings(
        node=NodeSettings(ae_title=AE_TITLE, data_dir=folder),
        listen=ListenSettings(port=port, network_timeout_s=10.0),
        storage=Disk(free_floor_bytes=0),
        completeness=CompletenessSettings(quiet_period_s=1.0),
        priors=PriorsSettings(**priors),
        peers=(peer,),
    )


def earlier_study(day: str, **changes: object) -> list[Dataset]:
    """A chest CT of the same patient of some day (YYYYMMDD), the study's UID derived from it."""
    dates = {"StudyDate": day, "AcquisitionDate": day}
    uid = earlier_uid(day)
    return [ct_instance(number, study=uid, **dates, **changes) for number in range(1, IMAGES + 1)]


def earlier_uid(day: str) -> str:
    """Study Instance UID of `earlier_study`."""
    return f"1.2.3.5.{int(day)}"
