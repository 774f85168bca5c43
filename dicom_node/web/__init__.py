"""The pages for people: a process of its own that reads the index and never loads the pipeline's networks."""
