"""Looks for what is wrong, and tells it: each alert once, and once again when it is over."""

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from config.alerts import AlertsSettings
from config.settings import Settings
from dicom_node.alerts.channels import NOT_TAKEN, send_mail, send_webhook
from dicom_node.alerts.rules import findings, silent_listeners
from dicom_node.clock import Clock
from storage.alerts import AlertMessage
from storage.figures import figures
from storage.index import Index

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

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def look(self) -> None:
        """Compare what is wrong now with what was.

        Raises:
            StorageError: The index cannot be read or written.
        """
        now = self._clock.now()
        found = findings(
            self._settings,
            figures(self._engine),
            self._index.batches.counts_beside(),
            standing=self.ledger.standing(),
            now=now,
        )
        found |= dict(silent_listeners(self._index.heartbeats(), now=now))
        self.ledger.settle(found, channels=self._settings.alerts.channels)

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
