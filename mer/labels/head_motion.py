"""The true flow of a rendered clip without the motion of the head."""

import cv2
import numpy as np


def without_head_motion(flow: np.ndarray) -> np.ndarray:
    """Flow (2, H, W) less the similarity that most of its non-zero points follow; zero where it was zero."""
    u, v = flow.astype(np.float32)
    rows, columns = np.nonzero((u != 0) | (v != 0))
    if len(rows) < 100:
        return np.stack([u, v])
    here = np.stack([columns, rows], 1).astype(np.float32)
    there = here + np.stack([u[rows, columns], v[rows, columns]], 1)
    some = slice(None, None, 17)
    cv2.setRNGSeed(0)  # RANSAC draws from OpenCV's global generator
    pose, _ = cv2.estimateAffinePartial2D(here[some].copy(), there[some].copy(), ransacReprojThreshold=0.1)
    rest = np.zeros((2, *u.shape), np.float32)
    rest[:, rows, columns] = (there - (here @ pose[:, :2].T + pose[:, 2])).T
    return rest
