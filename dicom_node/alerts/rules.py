"""What an administrator should look at that the worker finds; no sentence names a patient or a study."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from shutil import disk_usage

from config.settings import Settings
from dicom_node.alerts.at_once import Found
from dicom_node.alerts.working_time import is_silent_too_long
from dicom_node.audit.reading import waiting_count
from dicom_node.audit.trail import trail_folder
from dicom_node.tls.lifetimes import certificate_files
from dicom_node.tls.survey import survey_certificates
from dicom_node.watching.gpus import visible_gpus
from storage.alerts import Alert
from storage.figures import Figures
from storage.lifecycle import State

NOTHING_RECEIVED = "nothing received"


def findings(
    settings: Settings, figures: Figures, studies: dict[State, int], *, standing: tuple[Alert, ...], now: datetime
) -> dict[str, str]:
    """A sentence for each thing that is wrong now, by subject.

    Args:
        settings: Of the node.
        figures: Of its index.
        studies: How many are in each state.
        standing: Alerts that stand: silence ends with an object, not with the working day.
        now: Aware; working hours are those of the machine's time zone.
    """
    silent_since = next((alert.since for alert in standing if alert.subject == NOTHING_RECEIVED), None)
    return dict(
        [
            *_silence(settings, figures, silent_since, now=now),
            *_queues(settings, figures, now),
            *_failures(settings, studies),
            *_machine(settings),
            *_certificates(settings, now),
        ]
    )


def _silence(settings: Settings, figures: Figures, silent_since: datetime | None, *, now: datetime) -> Iterator[Found]:
    rules = settings.alerts
    last = figures.last_received_at
    if not rules.nothing_received_hours or last is None:
        return
    words = f"nothing was received for {rules.nothing_received_hours:g} hours of working time: look at the senders"
    if silent_since:
        if last <= silent_since:
            yield NOTHING_RECEIVED, words
        return
    if is_silent_too_long(rules, last, now=now):
        yield NOTHING_RECEIVED, words


def _queues(settings: Settings, figures: Figures, now: datetime) -> Iterator[Found]:
    rules = settings.alerts
    for state, since in figures.waiting_since.items():
        if rules.waiting_minutes and now - since > timedelta(minutes=rules.waiting_minutes):
            words = f"a study is {state} for more than {rules.waiting_minutes:g} minutes"
            yield f"queue: {state}", f"{words}: dicom-node study list --state {state}"
    for peer in settings.destinations:
        since = figures.down_since.get(peer.name, now)
        if rules.destination_down_minutes and now - since > timedelta(minutes=rules.destination_down_minutes):
            yield f"destination down: {peer.name}", f"{peer.name} cannot be reached: dicom-node status says why"


def _failures(settings: Settings, studies: dict[State, int]) -> Iterator[Found]:
    for state in (State.PIPELINE_FAILED, State.DELIVERY_FAILED):
        if settings.alerts.study_failed and studies.get(state):
            yield f"study failed: {state}", f"studies ended as {state}: dicom-node study list --state {state}"


def _machine(settings: Settings) -> Iterator[Found]:
    floor = settings.storage.refused_below_bytes
    if floor and disk_usage(settings.data_dir).free < floor:
        yield "disk", f"fewer than {floor:,} bytes are free in the data folder: senders are refused"
    if settings.alerts.gpu_expected and not visible_gpus():
        yield "GPU missing", "the worker sees no GPU: look at the driver with nvidia-smi"
    limit = settings.audit.syslog_waiting_limit
    if settings.audit.syslog_host and waiting_count(trail_folder(settings)) >= limit:
        yield "audit trail", f"{limit} audit messages or more wait for {settings.audit.syslog_host}"


def _certificates(settings: Settings, now: datetime) -> Iterator[Found]:
    days = settings.alerts.certificate_days
    if not days:
        return
    for finding in survey_certificates(settings, now=now):
        if finding.is_unusable:
            yield (
                f"certificate unusable: {finding.subject}",
                f"{finding.words}; until then what was read before is shown",
            )
    for one in certificate_files(settings):
        if one.days_left(now) < days:
            words = f"{one.kind} of {one.subject} ends on {one.not_after:%Y-%m-%d}: renew it"
            yield f"certificate: {one.subject} {one.kind}", words
