"""Index of studies, their life, the queue of work, the files on disk."""
