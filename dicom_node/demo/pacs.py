"""A small PACS: takes every storage object and keeps it as received."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.errors import NodeError
from dicom_node.folders import folder_name_from_uid

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
"""PS3.4 B.2.3."""
_MAXIMUM_PDU_BYTES = 128 * 1024


class PacsError(NodeError):
    """The small PACS could not start: its port is taken; close the other program or choose another port."""


class PacsNotRunningError(PacsError):
    """The small PACS has no port before it is started; enter its context first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptObject:
    """One object that the PACS took."""

    study_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path


class SmallPacs:
    """A storage SCP for the demo and for tests; not a product.

    Every object that it answers with Success is in `ledger`, each time it comes.
    """

    def __init__(self, folder: Path, *, ae_title: str = "DEMOPACS", port: int = 0) -> None:
        """Keep objects below a folder; port 0 takes a free one."""
        self._folder = folder
        self._ae_title = ae_title
        self._wanted_port = port
        self._ledger: list[KeptObject] = []
        self._changed = threading.Condition()
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> Self:
        """Start to listen on loopback.

        Raises:
            PacsError: The port is taken.
        """
        ae = AE(ae_title=self._ae_title)
        ae.maximum_pdu_size = _MAXIMUM_PDU_BYTES
        ae.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        try:
            server = ae.start_server(
                ("127.0.0.1", self._wanted_port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._handle_store)]
            )
        except OSError as exc:
            raise PacsError from exc
        self._server = server
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what was kept stays."""
        if self._server:
            self._server.shutdown()
            self._server = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if not self._server:
            raise PacsNotRunningError
        return int(self._server.server_address[1])

    @property
    def ae_title(self) -> str:
        """Its AE title."""
        return self._ae_title

    @property
    def ledger(self) -> tuple[KeptObject, ...]:
        """What it took so far, in order, repeats included."""
        with self._changed:
            return tuple(self._ledger)

    def kept(self, study_instance_uid: str) -> tuple[KeptObject, ...]:
        """What it took for one study."""
        return tuple(entry for entry in self.ledger if entry.study_instance_uid == study_instance_uid)

    def wait_until(self, holds: Callable[[tuple[KeptObject, ...]], bool], *, timeout_s: float) -> bool:
        """Wait until the ledger is as wanted; False when the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(tuple(self._ledger)), timeout_s)

    def _handle_store(self, event: Event) -> int:
        """Write the object, then enter it into the ledger."""
        try:
            entry = self._keep(event.encoded_dataset())
        except (OSError, InvalidDicomError, AttributeError):
            return _OUT_OF_RESOURCES
        with self._changed:
            self._ledger.append(entry)
            self._changed.notify_all()
        return _SUCCESS

    def _keep(self, encoded: bytes) -> KeptObject:
        """Write one object as it came, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{threading.get_ident()}.part"
        part.write_bytes(encoded)
        header = dcmread(part, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        sop_instance_uid = str(header.file_meta.MediaStorageSOPInstanceUID)
        study_folder = self._folder / folder_name_from_uid(str(header.StudyInstanceUID))
        study_folder.mkdir(exist_ok=True)
        path = part.replace(study_folder / f"{folder_name_from_uid(sop_instance_uid)}.dcm")
        return KeptObject(
            study_instance_uid=str(header.StudyInstanceUID),
            sop_class_uid=str(header.file_meta.MediaStorageSOPClassUID),
            sop_instance_uid=sop_instance_uid,
            path=path,
        )
