"""The demo: a node and a small PACS on loopback, studies in, results back."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config import Peer
from dicom_node.clock import SystemClock
from dicom_node.demo.follow import DemoTimeoutError, Standing, follow_study
from dicom_node.demo.node import DemoNode, running_node
from dicom_node.demo.pacs import SmallPacs
from dicom_node.demo.send import send_files
from dicom_node.folders import FolderStudy
from dicom_node.result_folders import check_result_folders, result_folder
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.records import StudyView

STUDY_WITHIN_S = 1800.0
"""A large study on a slow machine; the demo's own phantom takes about a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came of one study."""

    study_instance_uid: str
    acquired_at: datetime | None
    state: State
    reason: str
    """Why the study is in its state."""
    folder: Path | None
    """Holds what the PACS received and what the node keeps beside it; None where there is no result."""
    files: tuple[Path, ...]


OnProgress = Callable[[FolderStudy, Standing], None]


def run_demo(studies: Sequence[FolderStudy], *, out: Path, on_progress: OnProgress) -> Iterator[DemoResult]:
    """Send each study to a node of its own by C-STORE and wait for the results to arrive at the PACS.

    Args:
        studies: Oldest first; each is sent when the one before has come to its end.
        out: Gets `pacs` (everything as received), `node.log`, and one folder per study.
        on_progress: Told where each study stands.

    Raises:
        NodeError: The folder of a result holds images that are sent, the PACS or the node did not start, or a study did
            not come through.
    """
    check_result_folders(out, studies, sources=studies)
    with SmallPacs(out / "pacs") as pacs:
        peer = Peer(name="pacs", ae_title=pacs.ae_title, host="127.0.0.1", port=pacs.port, receives_results=True)
        with running_node(peer, log_path=out / "node.log") as node:
            index = Index(open_engine(node.settings.database_url), now=SystemClock().now)
            for study in studies:
                _send(study, node, own_aet=pacs.ae_title, on_progress=on_progress)
                yield _collect(_follow(study, node, index, on_progress=on_progress), study, pacs=pacs, out=out)


def _send(study: FolderStudy, node: DemoNode, *, own_aet: str, on_progress: OnProgress) -> None:
    """Send the study as the PACS would."""
    total = len(study.files.paths)

    def show(count: int) -> None:
        on_progress(study, Standing(phase=f"Sending {total} images to the node", fraction=0.05 * count / total))

    send_files(study.files.paths, node.address, own_aet=own_aet, on_sent=show)


def _follow(study: FolderStudy, node: DemoNode, index: Index, *, on_progress: OnProgress) -> StudyView:
    """The study once it has come to its end."""
    uid = study.files.study_instance_uid
    for standing in follow_study(index, node.settings.data_dir, uid, within_s=STUDY_WITHIN_S):
        on_progress(study, standing)
    view = index.study(uid)
    if view is None:
        raise DemoTimeoutError
    return view


def _collect(view: StudyView, study: FolderStudy, *, pacs: SmallPacs, out: Path) -> DemoResult:
    """Put what the PACS received of a study, and what only the node has, into the folder of the study."""
    folder = result_folder(out, view.study_instance_uid) if view.result else None
    return DemoResult(
        study_instance_uid=view.study_instance_uid,
        acquired_at=study.files.acquired_at,
        state=view.state,
        reason=view.reason,
        folder=folder,
        files=tuple(_copies(view, pacs, folder)) if folder else (),
    )


def _copies(view: StudyView, pacs: SmallPacs, folder: Path) -> Iterator[Path]:
    """Copy each file of the result set: DICOM from the PACS, the rest from the node."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (folder / "seg-lesions.dcm", *folder.glob("preview-*.png")):
        stale.unlink(missing_ok=True)
    received = {kept.sop_instance_uid: kept.path for kept in pacs.kept(view.study_instance_uid)}
    for file in view.result.files if view.result else ():
        source = received.get(file.sop_instance_uid) if file.sop_instance_uid else file.path
        if source:
            yield Path(shutil.copyfile(source, folder / file.path.name))
