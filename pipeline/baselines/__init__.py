"""Faster R-CNN, SSD and YOLOv3: the detectors that Space-Time-Net is compared with."""
