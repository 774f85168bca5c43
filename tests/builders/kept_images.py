"""Images in the data folder without a row, as a listener leaves them that is killed before its commit."""

from pathlib import Path

from pydicom import Dataset

from builders.instances import ct_instance, encoded
from dicom_node.listen.file_meta import file_meta
from storage.files import ObjectStore, StoredObject


def keep_images(data_dir: Path, *numbers: int, study: str = "1.2.3.4", **changes: object) -> list[StoredObject]:
    """Put images of a study into their places; `changes` are set by keyword."""
    return [keep_image(data_dir, ct_instance(number, study=study, **changes)) for number in numbers]


def keep_image(data_dir: Path, image: Dataset) -> StoredObject:
    """Put an image into its place."""
    store = ObjectStore(data_dir)
    syntax = str(image.file_meta.TransferSyntaxUID)
    part = store.new_part()
    part.write(
        file_meta(sop_class_uid=image.SOPClassUID, sop_instance_uid=image.SOPInstanceUID, transfer_syntax_uid=syntax)
    )
    part.write(encoded(image))
    return store.commit(part)
