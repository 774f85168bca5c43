"""Storage commitment (PS3.4 annex J): whether destinations keep our results, and whether we keep what we were sent."""
