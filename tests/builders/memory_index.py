"""An index in memory, with as much of `storage.index.Index` as completeness needs; fast enough for thousands of lives."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from builders.clock import FakeClock
from storage.evidence_records import CarryingAssociation, SeriesHoldings
from storage.lifecycle import Event, State, next_state
from storage.records import Claim, ReceivedInstance, StudyActivity


@dataclass(slots=True, kw_only=True)
class _Study:
    uid: str
    opened_at: datetime
    last_instance_at: datetime
    state: State = State.RECEIVING
    state_order: int = 0
    revision: int = 1
    is_tried: bool = False
    is_late: bool = False
    positions: dict[str, float | None] = field(default_factory=dict)


class MemoryIndex:
    """Answers as the real one does; a test holds the two together."""

    def __init__(self, clock: FakeClock) -> None:
        """Empty."""
        self._clock = clock
        self._studies: dict[str, _Study] = {}
        self._associations: dict[tuple[str, str], CarryingAssociation] = {}
        self._steps = 0

    def record_received(self, batch: Sequence[ReceivedInstance]) -> None:
        """Take instances in."""
        for instance in batch:
            self._take_in(instance)

    def end_association(self, association: str, *, was_released: bool) -> None:
        """An association is over."""
        for key, one in self._associations.items():
            if key[0] == association:
                self._associations[key] = replace(one, ended_at=self._clock.now(), was_released=was_released)

    def keep_associations(self, associations: Sequence[str]) -> None:
        """They are open still."""
        for key, one in self._associations.items():
            if key[0] in associations and one.ended_at is None:
                self._associations[key] = replace(one, seen_at=self._clock.now())

    def carrying_associations(self) -> tuple[CarryingAssociation, ...]:
        """Of studies that are being received."""
        return tuple(one for (_, uid), one in self._associations.items() if _counts(one, self._studies[uid]))

    def studies_in(self, state: State) -> tuple[StudyActivity, ...]:
        """The one that is in it for longest first."""
        found = sorted((one for one in self._studies.values() if one.state is state), key=lambda one: one.state_order)
        return tuple(
            StudyActivity(
                study_instance_uid=one.uid,
                first_instance_at=one.opened_at,
                last_instance_at=one.last_instance_at,
                instance_count=len(one.positions),
            )
            for one in found
        )

    def series_holdings(self, uid: str) -> tuple[SeriesHoldings, ...]:
        """One CT series."""
        positions = self._studies[uid].positions.values()
        return (
            SeriesHoldings(
                series_instance_uid=f"{uid}.1",
                modality="CT",
                instance_count=len(positions),
                slice_positions_mm=tuple(sorted(one for one in positions if one is not None)),
            ),
        )

    def notice_holdings(self, _uid: str) -> tuple[()]:
        """None came."""
        return ()

    def apply(self, uid: str, event: Event, *, why: str) -> None:
        """A step."""
        assert why
        self._move(self._studies[uid], event)

    def claim_next(self, *, owner: str, lease_s: float) -> Claim | None:
        """The study that is ready for longest."""
        assert owner
        assert lease_s
        ready = self.studies_in(State.READY)
        if not ready:
            return None
        study = self._studies[ready[0].study_instance_uid]
        self._move(study, Event.CLAIMED)
        study.is_tried = True
        return Claim(
            attempt_id=1,
            study_instance_uid=study.uid,
            revision=study.revision,
            attempt_number=1,
            owner=owner,
            started_at=self._clock.now(),
        )

    def finish_refused(self, claim: Claim, reason: str) -> None:
        """The attempt ended; a study that got more meanwhile opens."""
        assert reason
        study = self._studies[claim.study_instance_uid]
        is_late = study.is_late
        self._move(study, Event.ATTEMPT_REFUSED)
        if is_late:
            self._move(study, Event.INSTANCE_ARRIVED)

    def _take_in(self, instance: ReceivedInstance) -> None:
        now, uid = self._clock.now(), instance.study_instance_uid
        study = self._studies.get(uid)
        if study is None:
            study = self._studies[uid] = _Study(uid=uid, opened_at=now, last_instance_at=now)
            self._steps += 1
            study.state_order = self._steps
        if instance.sop_instance_uid not in study.positions:
            study.positions[instance.sop_instance_uid] = instance.slice_position_mm
            self._move(study, Event.INSTANCE_ARRIVED)
            study.last_instance_at = max(study.last_instance_at, instance.received_at)
        key = (instance.association, uid)
        if key not in self._associations:
            self._associations[key] = CarryingAssociation(
                association=instance.association,
                study_instance_uid=uid,
                calling_aet=instance.calling_aet,
                seen_at=now,
                ended_at=None,
                was_released=False,
            )

    def _move(self, study: _Study, event: Event) -> None:
        state = next_state(study.state, event)
        is_late = event is Event.INSTANCE_ARRIVED and state is State.PROCESSING
        study.is_late = is_late or (study.is_late and state is State.PROCESSING)
        if state is study.state:
            return
        self._steps += 1
        study.state, study.state_order = state, self._steps
        if event is Event.INSTANCE_ARRIVED and study.is_tried:
            study.revision, study.is_tried = study.revision + 1, False
        if state is State.RECEIVING:
            study.opened_at = self._clock.now()


def _counts(one: CarryingAssociation, study: _Study) -> bool:
    if study.state is not State.RECEIVING:
        return False
    return one.ended_at is None or one.ended_at >= min(study.opened_at, study.last_instance_at)
