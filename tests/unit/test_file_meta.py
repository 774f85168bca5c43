"""The first bytes of a stored file."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.instances import ct_instance, encoded
from dicom_node.listen.file_meta import IMPLEMENTATION_CLASS_UID, file_meta


def build(sop_instance_uid: str = "1.2.3") -> bytes:
    """Meta information of a CT."""
    return file_meta(
        sop_class_uid=CTImageStorage, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=ExplicitVRLittleEndian
    )


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_pydicom_reads_it_back(uid: str) -> None:
    """Even and odd lengths are padded as PS3.5 9.1 wants."""
    dataset = dcmread(BytesIO(build(uid) + encoded(ct_instance())))
    meta = dataset.file_meta
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == (uid, CTImageStorage)
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.FileMetaInformationGroupLength == len(build(uid)) - 144
    assert dataset.PatientID == "P1"


def test_same_object_gives_the_same_bytes() -> None:
    """A resend must hash the same: neither sender nor time nor version is in the file."""
    assert build() == build()
    assert dcmread(BytesIO(build())).file_meta.get("SourceApplicationEntityTitle") is None


def test_preamble_is_empty() -> None:
    """No stored file is also a program (CVE-2019-11687)."""
    assert build()[:132] == bytes(128) + b"DICM"
