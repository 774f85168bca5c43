"""DICOM objects and files made from findings; the writer is not imported here, it takes a second to load."""
