"""The listener: receives instances by C-STORE, nothing else."""
