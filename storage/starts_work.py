"""Which instances the pipeline reads."""

STARTS_WORK = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
"""CT Image, Enhanced CT Image, Legacy Converted Enhanced CT Image Storage (PS3.4 B.5): what the pipeline reads.

Everything else is kept and shown, and reopens no study: reports, segmentations, captures, images of other modalities.
"""
