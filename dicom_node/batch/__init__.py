"""The archive run: many studies of a PACS, one after the other, beside the daily work."""
