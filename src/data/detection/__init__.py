"""Find animals (or other things) in images: an interface, and YOLOv8 behind it."""

from seglab.data.detection.interface import Detection, Detector, class_map_for
from seglab.data.detection.yolo import load_detector

__all__ = ["Detection", "Detector", "class_map_for", "load_detector"]
