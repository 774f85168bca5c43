"""A sender that remembers which objects were acknowledged, with their bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from pydicom.dataset import Dataset

from builders.instances import encoded
from builders.listener import association
from builders.node import AE_TITLE


@dataclass(slots=True)
class SenderLedger:
    """What was answered with Success, by SOP Instance UID, with the SHA-256 of the data set as it went out."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    other_statuses: list[int] = field(default_factory=list)
    """Answers other than Success."""
    _lock: Lock = field(default_factory=Lock)

    def send(self, port: int, datasets: Sequence[Dataset], *, called_aet: str = AE_TITLE) -> list[Dataset]:
        """Send over one association, as far as it goes; returns what was not answered with Success.

        All are explicit VR little endian.
        """
        contexts = {str(one.SOPClassUID): [str(one.file_meta.TransferSyntaxUID)] for one in datasets}
        left = list(datasets)
        with association(port, list(contexts.items()), called_aet=called_aet) as opened:
            while left and opened.is_established:
                status = self._status(opened.send_c_store, left[0])
                if status is None:
                    # A release would wait for the answer of a listener that is gone.
                    opened.abort()
                    break
                self._note(left.pop(0), status)
        return left

    def send_all(self, port: int, datasets: Sequence[Dataset]) -> None:
        """Send until everything is acknowledged, over a few associations at most."""
        left = list(datasets)
        for _ in range(5):
            left = self.send(port, left) if left else []
        assert not left, f"{len(left)} objects were not taken in five associations"

    def _note(self, dataset: Dataset, status: int) -> None:
        if status != 0x0000:
            self.other_statuses.append(status)
            return
        digest = hashlib.sha256(encoded(dataset)).hexdigest()
        with self._lock:
            self.acknowledged[str(dataset.SOPInstanceUID)] = digest

    @staticmethod
    def _status(send_c_store: object, dataset: Dataset) -> int | None:
        """The status of a C-STORE; None when the connection went before an answer came."""
        try:
            answer = send_c_store(dataset)  # type: ignore[operator]  # of pynetdicom's Association
        except RuntimeError:
            return None
        return int(answer.Status) if "Status" in answer else None
