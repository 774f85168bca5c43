"""What is seen and done on the pages, as entries of the audit trail (PS3.15 A.5.3)."""

from config.settings import Settings
from dicom_node.audit.events import (
    Action,
    AlertKind,
    AuditEvent,
    InstancesAccessed,
    LoggedIn,
    LoggedOut,
    Outcome,
    Party,
    Searched,
    SecurityAlert,
)
from dicom_node.audit.trail import Recorder, own_party
from dicom_node.clock import Clock
from dicom_node.listen.quiet import OncePerMinute
from dicom_node.web.audit_hook import Deed, WebEvent, log_event

_VISITOR = "visitor"
_ACTIONS = {Deed.STUDY_SEEN: Action.READ, Deed.IMAGE_SEEN: Action.READ, Deed.STUDY_CHANGED: Action.UPDATE}
_ALERTS = {
    Deed.REFUSED: AlertKind.RESTRICTED_FUNCTION,
    Deed.PEER_TRIED: AlertKind.RESTRICTED_FUNCTION,
    Deed.RULES_CHANGED: AlertKind.SOFTWARE_CONFIGURATION,
    Deed.PEER_CHANGED: AlertKind.NETWORK_CONFIGURATION,
}
_USED_WHATEVER_CAME_OF_IT = frozenset({Deed.PEER_TRIED})
"""Of a security alert success is an informative alert, failure a warning (A.5.3.11), which a silent peer is none of."""


class PagesAudit:
    """Puts events of the pages into the log, without patients, and into the audit trail, with them."""

    def __init__(self, trail: Recorder, settings: Settings, *, clock: Clock) -> None:
        """Write into a trail."""
        self._trail = trail
        self._node = own_party(settings)
        self._quiet = OncePerMinute(clock)

    def __call__(self, event: WebEvent) -> None:
        """Write an event down; that somebody scrolls through the images of a study once a minute."""
        key = (event.by, event.address, event.study and event.study.study_instance_uid)
        if event.deed is Deed.IMAGE_SEEN and not self._quiet.passes(key):
            return
        log_event(event)
        is_success = event.is_success or event.deed in _USED_WHATEVER_CAME_OF_IT
        outcome = Outcome.SUCCESS if is_success else Outcome.SERIOUS_FAILURE
        self._trail.record(self._entry(event), outcome=outcome, words="" if is_success else event.words)

    def _entry(self, event: WebEvent) -> AuditEvent:
        user = Party(user_id=event.by or _VISITOR, address=event.address)
        if event.deed in {Deed.LOGGED_IN, Deed.LOGIN_REFUSED}:
            return LoggedIn(user=user, node=self._node)
        if event.deed is Deed.LOGGED_OUT:
            return LoggedOut(user=user, node=self._node)
        action = _ACTIONS.get(event.deed)
        if action and event.study:
            return InstancesAccessed(user=user, action=action, study=event.study, what=event.words or event.deed)
        if kind := _ALERTS.get(event.deed):
            subject = event.words or "the pages"
            return SecurityAlert(
                kind=kind, reporter=self._node, performer=user, subject=subject, description=event.deed
            )
        return Searched(user=user, node=self._node, uri=event.deed, query=event.query)
