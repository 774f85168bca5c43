"""Ends what waits for peers that were taken out of the configuration, or out of one of their roles."""

import logging
from datetime import timedelta

from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.retrieve.fetch import horizon_s
from dicom_node.wording import counted
from storage.errors import StorageError
from storage.removed_peers import RemovedPeers

logger = logging.getLogger(__name__)


class RemovedPeersSweep:
    """Waits for a peer that is gone as long as for one that does not answer: it may come back."""

    def __init__(self, settings: Settings, engine: Engine, *, clock: Clock) -> None:
        """Begin with these settings."""
        self._settings = settings
        self._open = RemovedPeers(engine, now=clock.now)
        self._clock = clock

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def look(self) -> None:
        """End what is too old; what fails is said, and tried again the next time."""
        try:
            self._end_results()
            self._end_searches()
        except StorageError as error:
            logger.warning("what waits for peers that are gone waits on for now: %s", error)

    def _end_results(self) -> None:
        """Results that wait, and questions whether they are kept."""
        settings, now = self._settings, self._clock.now()
        destinations = [peer.name for peer in settings.destinations]
        made_before = now - timedelta(days=settings.outbox.give_up_after_days)
        ended = self._open.end_deliveries(destinations, made_before=made_before)
        if ended:
            logger.warning(
                "%s waited for destinations that receive no results any more; they are sent no more",
                counted(ended, "result"),
            )
        committers = [peer.name for peer in settings.committers]
        planned_before = now - timedelta(days=settings.outbox.commitment_give_up_after_days)
        self._open.end_commitments(committers, planned_before=planned_before)

    def _end_searches(self) -> None:
        """Searches for earlier studies; one that was begun when its PACS was taken out ends by itself before."""
        settings, priors = self._settings, self._settings.priors
        archives = [peer.name for peer in settings.archives if priors.maximum_count]
        longest_s = horizon_s(priors) + priors.fetch_query_timeout_s + priors.fetch_retrieval_timeout_s
        self._open.end_searches(archives, planned_before=self._clock.now() - timedelta(seconds=longest_s))
