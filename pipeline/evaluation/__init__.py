"""Evaluation of detectors against known truth, in the two stages of the paper."""
