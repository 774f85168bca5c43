"""JPEG Lossless images, as many archives send CT, coded by GDCM: pydicom has no coder for them."""

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLosslessSV1


def compress_jpeg_lossless(image: FileDataset) -> None:
    """Replace the pixels of a single-frame image of unsigned 16 bits by their JPEG Lossless code."""
    stored = np.frombuffer(image.PixelData, "<u2").reshape(1, image.Rows, image.Columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.dcm"
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.Execute(SimpleITK.GetImageFromArray(stored))
        coded = dcmread(path)
    if coded.file_meta.TransferSyntaxUID != JPEGLosslessSV1:
        raise NotImplementedError(coded.file_meta.TransferSyntaxUID)
    image.PixelData = encapsulate([next(generate_frames(coded.PixelData, number_of_frames=1))])
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = JPEGLosslessSV1
