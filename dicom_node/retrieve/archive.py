"""One PACS that studies are got from: what it is asked, what it sends, within which time."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from config.settings import Peer, Settings
from dicom_node.retrieve.association import Conversation, StopSwitch, conversation
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.find import FIND_OFFER
from dicom_node.retrieve.transfer import SubOperations


class Retriever(Protocol):
    """Gets series of a study into the index: by C-MOVE or by C-GET."""

    def retrieve(self, study_instance_uid: str, series_uids: Sequence[str], *, limit_s: float) -> SubOperations:
        """Get them within the limit, or raise NodeError."""
        ...


class Archive:
    """A PACS, asked over one association at a time, by the time limits of `[priors]`."""

    def __init__(
        self, settings: Settings, peer: Peer, *, retriever: Retriever, switch: StopSwitch, audit: RetrieveAudit
    ) -> None:
        """Ask one peer until the switch stops it."""
        self.peer = peer
        self._own_aet = settings.node.ae_title
        self._limits = settings.priors
        self._retriever = retriever
        self._switch = switch
        self._audit = audit

    @property
    def is_stopped(self) -> bool:
        """Whether it is asked for nothing any more."""
        return self._switch.is_stopped

    def stop(self) -> None:
        """End what is under way, for good."""
        self._switch.stop()

    def queried(self) -> AbstractContextManager[Conversation]:
        """An association for C-FIND.

        Raises:
            PeerUnreachableError: No association.
            ArchiveRefusesError: The PACS answers no questions.
        """
        return conversation(
            self.peer,
            FIND_OFFER,
            own_aet=self._own_aet,
            limit_s=self._limits.fetch_query_timeout_s,
            switch=self._switch,
            audit=self._audit,
        )

    def retrieve(self, study_instance_uid: str, series_uids: Sequence[str]) -> SubOperations:
        """Get series of a study into the index; what the PACS says that it sent.

        Raises:
            NodeError: The PACS was not reached, did not answer in time, or failed.
        """
        limit_s = self._limits.fetch_retrieval_timeout_s
        return self._retriever.retrieve(study_instance_uid, series_uids, limit_s=limit_s)
