"""The pipeline on a Ray cluster: actors hold the networks, bytes of studies go in, bytes of results come out.

The worker never loads Ray. `RayEngine` runs a process beside it, `driver`, which is the driver of the cluster in Ray's
terms: Ray ends a driver that lost its cluster, and that must not end the worker.
"""
