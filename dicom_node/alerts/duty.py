"""Looks for what is wrong, and tells it: each alert once, and once again when it is over."""

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from config.alerts import AlertsSettings
from config.settings import Settings
from dicom_node.alerts.at_once import WORKER_SILENT, seen_at_once, told_after_s
from dicom_node.alerts.channels import NOT_TAKEN, send_mail, send_webhook
from dicom_node.alerts.rules import findings
from dicom_node.clock import Clock
from storage.alerts import AlertMessage
from storage.figures import figures
from storage.index import Index
from storage.lifecycle import State

logger = logging.getLogger(__name__)

_SENDERS: dict[str, Callable[[AlertsSettings, str, AlertMessage], None]] = {
    "mail": send_mail,
    "webhook": send_webhook,
}


class AlertWatch:
    """Watches one node; what is to be told is in the index until it was told."""

    def __init__(self, settings: Settings, engine: Engine, *, clock: Clock) -> None:
        """Nothing is looked at yet."""
        self.follow(settings)
        self._engine = engine
        self._clock = clock
        self._index = Index(engine, now=clock.now)
        self.ledger = self._index.alerts
        self._seen_at_s: dict[str, float] = {}

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def look(self) -> None:
        """Compare what is wrong now with what was.

        Raises:
            StorageError: The index cannot be read or written.
        """
        now, standing = self._clock.now(), self.ledger.standing()
        counts = self._index.batches.counts_beside()
        found = findings(self._settings, figures(self._engine), counts, standing=standing, now=now)
        found |= self._lasting({alert.subject for alert in standing}, now=now)
        self.ledger.settle(found, channels=self._settings.alerts.channels)

    def _lasting(self, standing: set[str], *, now: datetime) -> dict[str, str]:
        """What whoever looks sees, as far as it stands or was seen for so long that somebody is to be told."""
        index, settings = self._index, self._settings
        seen = seen_at_once(
            settings,
            held=index.counts_by_state()[State.HELD],
            commitments={peer.name: index.commitments.counts_of(peer.name) for peer in settings.committers},
            batches=index.batches.under_way(),
            beats=index.heartbeats(),
            now=now,
        )
        # Whoever looks here is the worker, and lives.
        seen.pop(WORKER_SILENT, None)
        now_s = self._clock.monotonic()
        self._seen_at_s = {subject: self._seen_at_s.get(subject, now_s) for subject in seen}
        return {
            subject: words
            for subject, words in seen.items()
            if subject in standing or now_s - self._seen_at_s[subject] >= told_after_s(subject)
        }

    def tell(self, channel: str) -> int:
        """Bring what a channel was not told; what it does not take now is brought the next time."""
        told = 0
        for message in self.ledger.to_tell(channel):
            try:
                _SENDERS[channel](self._settings.alerts, self._settings.node.ae_title, message)
            except NOT_TAKEN as error:
                said = type(error).__name__
                logger.warning("alerts wait, %s does not take them: %s; see dicom-node alerts test", channel, said)
                return told
            self.ledger.was_told(message.message_id)
            logger.info("%s was told: %s", channel, message.subject)
            told += 1
        return told
