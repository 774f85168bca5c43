"""Earlier studies from a PACS: found by C-FIND, fetched by C-MOVE or C-GET."""
