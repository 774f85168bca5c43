"""DICOM objects and files made from findings."""
