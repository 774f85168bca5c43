"""Takes studies that are ready, runs the pipeline on each, keeps its results."""

import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Protocol

from config.settings import Settings
from dicom_node.destinations import destination_of
from dicom_node.disk_refusals import DISK_REFUSALS
from dicom_node.earlier_studies import earlier_of_study
from dicom_node.job_records import (
    InputFile,
    JobOutcome,
    JobProgress,
    JobSpec,
    OutcomeKind,
    PriorSpec,
    StudySpec,
)
from dicom_node.journal import STUDY
from dicom_node.pack_store import PackStoreError, chosen_pack
from dicom_node.result_plan import result_plan
from dicom_node.retrieve.waiting import unfinished
from dicom_node.rules_decision import decision_for, destinations_of_study
from dicom_node.series_choice import rules_for_study
from dicom_node.stopped_attempts import StoppedAttempts
from dicom_node.superseding import Superseded, superseded
from dicom_node.unread import without_ct_images
from storage.disk import FILE_MODE, disk_errors, make_folder
from storage.errors import DiskError, IndexStateError, StorageError
from storage.failpoints import reach
from storage.files import ResultStore
from storage.index import Index
from storage.prior_records import PriorCandidate
from storage.records import Claim

logger = logging.getLogger(__name__)

_TWO_PATIENTS = (
    "images of two patients came under this Study Instance UID: nothing is run; `dicom-node study show UID` names them, "
    "`dicom-node study release UID NUMBER` takes the study with the images of one, `--all-of-one` with all"
)


class Engine(Protocol):
    """Runs attempts; see `LocalEngine.run`."""

    def follow(self, settings: Settings) -> None:
        """Go by these settings from the next attempt on."""

    def run(self, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool], stop: Event) -> JobOutcome | None:
        """Run the attempt to its end."""
        ...

    def close(self) -> None:
        """End what it keeps for further attempts."""


class Dispatcher:
    """Takes attempts from the index to the engine and their ends back."""

    def __init__(
        self,
        settings: Settings,
        index: Index,
        *,
        results: ResultStore,
        engine: Engine,
        stopped: StoppedAttempts | None = None,
    ) -> None:
        """Work on the studies of the index.

        Args:
            settings: Of the node.
            index: Has the studies.
            results: Keeps what is made.
            engine: Runs the attempts.
            stopped: Takes what cannot be given back for now; None where nobody but this dispatcher knows of it.
        """
        self.follow(settings)
        self._stopped = stopped or StoppedAttempts()
        self._index = index
        self._results = results
        self.engine = engine
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._jobs = settings.node.data_dir / "jobs"

    def follow(self, settings: Settings) -> None:
        """Go by these settings from the next step on; an attempt that runs keeps what it was given."""
        self._settings = settings

    def sweep(self) -> None:
        """Remove the folders that attempts of an earlier process left."""
        shutil.rmtree(self._jobs, ignore_errors=True)

    def run_next(self, stop: Event) -> bool:
        """Run the next attempt; False when none is ready.

        Args:
            stop: Set when the worker is to end: the attempt then goes back to the queue.

        Raises:
            StorageError: Disk or index refuse; after a disk error the study is back in the queue, the try not counted.
        """
        claim = self.claim()
        if claim is None:
            return False
        self.run(claim, stop)
        return True

    def claim(self) -> Claim | None:
        """The study that comes next, now held; None when none is ready.

        Raises:
            StorageError: The index refuses.
        """
        self._stopped.give_back(self._index)
        return self._index.claim_next(owner=self._owner, lease_s=self._settings.pipeline.lease_s)

    def run(self, claim: Claim, stop: Event) -> None:
        """Run an attempt to its end; may be called by several threads, each with its own claim.

        Args:
            claim: What `claim` gave.
            stop: Set when the worker is to end: the attempt then goes back to the queue.

        Raises:
            StorageError: Disk or index refuse; after a disk error the study is back in the queue, the try not counted.
        """
        reach("job.claimed")
        about = {STUDY: claim.study_instance_uid}
        logger.info("attempt %d: started, revision %d", claim.attempt_id, claim.revision, extra=about)
        folder = job_folder(self._settings.node.data_dir, claim.attempt_id)
        try:
            with disk_errors():
                make_folder(folder)
                self._finish(claim, folder, self._run(claim, folder, stop))
        except DISK_REFUSALS as error:
            # The index may be on the same disk, and be in want of the room.
            shutil.rmtree(folder, ignore_errors=True)
            self._give_back(claim, why=str(error))
            raise
        except IndexStateError as error:
            # Of what does not pass by itself the lease ends.
            if error.retryable:
                self._stopped.remember(claim)
            raise
        except Exception as defect:  # around one job: a study must not end the worker, whatever is wrong with it
            logger.exception("attempt %d: ended by a defect", claim.attempt_id, extra=about)
            self._finish(claim, folder, _defect(defect))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _give_back(self, claim: Claim, *, why: str) -> None:
        """The try does not count, also where the index does not take that now."""
        try:
            self._index.release(claim, why=why)
        except StorageError:
            self._stopped.remember(claim)
            raise

    def _run(self, claim: Claim, folder: Path, stop: Event) -> JobOutcome | None:
        """Run the attempt under its lease; not run: a study of two patients, one that a rule excludes, one without images."""
        if self._index.study_has_identity_conflict(claim.study_instance_uid):
            return JobOutcome(kind=OutcomeKind.REFUSED, reason=_TWO_PATIENTS)
        decision = decision_for(self._settings, self._index, claim.study_instance_uid)
        if not decision.runs:
            return JobOutcome(kind=OutcomeKind.REFUSED, reason=decision.why)
        without_images = without_ct_images(self._index.stored_instances(claim.study_instance_uid))
        if without_images:
            return JobOutcome(kind=OutcomeKind.REFUSED, reason=without_images)
        try:
            spec = self._spec(claim)
        except PackStoreError as error:
            return JobOutcome(kind=OutcomeKind.FAILED, reason=error.reason, retryable=True)
        lease = _Lease(self._index, claim, lease_s=self._settings.pipeline.lease_s)
        return self.engine.run(spec, folder, keep_going=lease.hold, stop=stop)

    def _finish(self, claim: Claim, folder: Path, outcome: JobOutcome | None) -> None:
        """Put the end of an attempt into the index; said in the log only then."""
        if outcome is None:
            self._index.release(claim, why="the worker stopped before the attempt ended")
            return
        if outcome.kind is OutcomeKind.SUCCEEDED:
            kept = self._keep(claim, folder, outcome)
        elif outcome.kind is OutcomeKind.REFUSED:
            kept = self._index.finish_refused(claim, outcome.reason)
        else:
            shutil.rmtree(folder / "out", ignore_errors=True)
            maximum = self._settings.pipeline.attempts
            kept = self._index.finish_failed(
                claim, outcome.reason, retryable=outcome.retryable, maximum_attempts=maximum
            )
            self._keep_log(claim, folder)
        words = outcome.kind if kept else "discarded, its lease was lost"
        logger.info("attempt %d: %s", claim.attempt_id, words, extra={STUDY: claim.study_instance_uid})

    def _keep(self, claim: Claim, folder: Path, outcome: JobOutcome) -> bool:
        """Move the result set into place, synced, then register it with its deliveries."""
        files = self._results.keep(
            folder / "out", outcome.files, study_instance_uid=claim.study_instance_uid, revision=claim.revision
        )
        is_kept_here = self._index.batches.is_kept_here(claim.study_instance_uid)
        peers = () if is_kept_here else destinations_of_study(self._settings, self._index, claim.study_instance_uid)
        destinations = [destination_of(peer) for peer in peers]
        kept = self._index.finish_succeeded(claim, files, destinations=destinations, why=outcome.reason)
        reach("result.registered")
        return kept

    def _keep_log(self, claim: Claim, folder: Path) -> None:
        """Keep the log of a failed attempt where the operator finds it."""
        log = folder / "job.log"
        if not log.exists():
            # It failed before anything ran.
            return
        logs = self._settings.node.data_dir / "failed-attempts"
        try:
            make_folder(logs)
            kept = logs / f"{claim.attempt_id}.log"
            shutil.copyfile(log, kept)
            kept.chmod(FILE_MODE)
        except OSError as error:
            logger.warning("the log of attempt %d cannot be kept: %s", claim.attempt_id, error.strerror)

    def _spec(self, claim: Claim) -> JobSpec:
        """Everything the attempt needs, from index and configuration."""
        uid = claim.study_instance_uid
        settings, superseded_reports = self._settings, self._superseded(uid)
        searches = self._index.fetches.of_study(uid)
        earlier = earlier_of_study(settings, self._index, uid, searches)
        return JobSpec(
            study=self._study(uid),
            priors=self._priors(earlier.linked),
            refused_priors=earlier.refused,
            reported_folder=self._reported_folder(claim),
            priors_were_searched=earlier.were_searched,
            qualifications=(*unfinished(searches), *superseded_reports.qualifications),
            revision=claim.revision,
            created_at=claim.started_at.astimezone(),
            device=settings.pipeline.device,
            threads=settings.pipeline.threads,
            model_pack=chosen_pack(settings),
            precision=settings.pipeline.precision,
            lung_segmenter=settings.pipeline.lung_segmenter,
            lesion_detector=settings.pipeline.lesion_detector,
            alignment=settings.pipeline.alignment,
            results=result_plan(settings, destinations_of_study(settings, self._index, uid)),
            device_serial_number=settings.results.device_serial_number,
            institution=settings.results.institution,
            predecessor=superseded_reports.predecessor,
            further_predecessors=superseded_reports.further_predecessors,
        )

    def _acquired_at(self, study_instance_uid: str) -> datetime | None:
        """When the study was acquired, as far as the index knows."""
        view = self._index.study(study_instance_uid)
        return view.acquired_at if view else None

    def _superseded(self, study_instance_uid: str) -> Superseded:
        """The reports that the new ones supersede where a destination has something of their result."""
        view = self._index.study(study_instance_uid)
        deliveries = view.deliveries if view else ()
        taken = {delivery.sop_instance_uid for delivery in deliveries if delivery.state == "delivered"}
        return superseded(view.sent_result if view else None, taken=taken)

    def _priors(self, linked: Sequence[PriorCandidate]) -> tuple[PriorSpec, ...]:
        """The linked earlier studies with what was reported of them."""
        results = {prior.study_instance_uid: self._index.latest_result(prior.study_instance_uid) for prior in linked}
        return tuple(
            PriorSpec(study=self._study(uid), result_folder=result.folder if result else None)
            for uid, result in results.items()
        )

    def _reported_folder(self, claim: Claim) -> Path | None:
        """Of the newest result of an earlier revision, made of images of the patient that the study is of now."""
        result = self._index.latest_result(claim.study_instance_uid)
        return result.folder if result and result.revision < claim.revision else None

    def _study(self, study_instance_uid: str) -> StudySpec:
        """The stored files of a study, with the site's rules for reading them."""
        instances = self._index.stored_instances(study_instance_uid)
        return StudySpec(
            study_instance_uid=study_instance_uid,
            acquired_at=self._acquired_at(study_instance_uid),
            inputs=tuple(
                InputFile(path=self._settings.node.data_dir / stored.path, sha256=stored.sha256) for stored in instances
            ),
            rules=rules_for_study(self._settings, instances),
            corrects_tilt=self._settings.pipeline.correct_gantry_tilt,
        )


def _defect(error: Exception) -> JobOutcome:
    """The outcome of an attempt that something ended which nobody foresaw; the next one may do better."""
    detail = f" {error.detail}" if isinstance(error, DiskError) else ""
    reason = f"the node could not run the attempt ({type(error).__name__}{detail}); see its log"
    return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)


class _Lease:
    """Renews the lease of an attempt in time."""

    def __init__(self, index: Index, claim: Claim, *, lease_s: float) -> None:
        self._index = index
        self._claim = claim
        self._lease_s = lease_s
        self._renew_at_s = time.monotonic() + lease_s / 3
        self._held = True

    def hold(self) -> bool:
        """Renew when a third has passed; False once the lease is lost."""
        if self._held and time.monotonic() >= self._renew_at_s:
            self._held = self._index.renew(self._claim, lease_s=self._lease_s)
            self._renew_at_s = time.monotonic() + self._lease_s / 3
        return self._held


def job_folder(data_dir: Path, attempt_id: int) -> Path:
    """Where an attempt works."""
    return data_dir / "jobs" / str(attempt_id)


def attempt_progress(data_dir: Path, attempt_id: int) -> JobProgress | None:
    """How far a running attempt is; None before its first stage and after its end."""
    return JobProgress.read(job_folder(data_dir, attempt_id))
