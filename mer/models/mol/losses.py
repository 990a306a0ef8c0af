"""Losses and auxiliary metrics of MOL, and the warp that shows what a flow does (section 3.3, Eq. 6-9 and 11).

The paper's formulas are lost; these are reconstructed from its words and the released code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mer.labels.points68 import eye_centres

FAILURE = 0.1  # a frame's landmark error above this fraction of the inter-ocular distance is a failure


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """L_e (Eq. 6): cross entropy of logits (B, n) and class indices (B,), mean over clips."""
    return F.cross_entropy(logits, labels)


def flow_loss(flow: Tensor, truth: Tensor) -> Tensor:
    """L_f (Eq. 7): squared error of flow (..., 2, H, W) in pixels, mean over both parts, all pixels and all pairs."""
    return F.mse_loss(flow, truth)


def interocular(points: Tensor) -> Tensor:
    """Distance (...) between the eye centres of landmarks (..., 68, 2)."""
    right, left = eye_centres(points)
    return torch.linalg.vector_norm(right - left, dim=-1)


def landmark_loss(points: Tensor, truth: Tensor, kind: str = "l1") -> Tensor:
    """L_m (Eq. 8): error of landmarks (..., 68, 2) over the truth's inter-ocular distance d, mean of points and frames.

    kind "l1": (|dx| + |dy|) / d, as released; "l2": (dx^2 + dy^2) / d^2, as in the authors' earlier work. The paper
    gives no power. Raises ValueError for any other kind.
    """
    if kind not in ("l1", "l2"):
        raise ValueError(f"landmark loss {kind!r}: expected l1 or l2")
    scaled = (points - truth) / interocular(truth)[..., None, None]
    return (scaled.abs() if kind == "l1" else scaled.square()).sum(-1).mean()


def mol_losses(outputs: dict[str, Tensor], batch, landmark: str = "l1") -> dict[str, Tensor]:
    """The losses of the tasks in `outputs` (of MOL.forward), by the names `mer`, `flow` and `landmark`.

    batch: label (B,) long; flow (B, Q, 2, H, W) pixels, of the pairs that were asked for; points (B, t, 68, 2), pixels
    of the crop, of all frames.
    """
    losses = {}
    if "logits" in outputs:
        losses["mer"] = class_loss(outputs["logits"], batch.label)
    if "flow" in outputs:
        losses["flow"] = flow_loss(outputs["flow"], batch.flow)
    if "landmarks" in outputs:
        losses["landmark"] = landmark_loss(outputs["landmarks"], batch.points[:, 1:], landmark)
    return losses


def epe(flow: Tensor, truth: Tensor) -> Tensor:
    """End-point error in pixels of flow (..., 2, H, W): mean over pixels, one number per pair (...)."""
    return torch.linalg.vector_norm(flow - truth, dim=-3).mean(dim=(-2, -1))


def nme(points: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of landmarks (..., 68, 2) from the truth, fraction of inter-ocular distance, per frame (...)."""
    return torch.linalg.vector_norm(points - truth, dim=-1).mean(-1) / interocular(truth)


def failure(points: Tensor, truth: Tensor) -> Tensor:
    """Whether a frame's `nme` exceeds 10 %, boolean, per frame (...)."""
    return nme(points, truth) > FAILURE


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """The next frame pulled back along the flow (Eq. 11): I~_k(a, b) = I_{k+1}(a + A_k(a, b), b + B_k(a, b)).

    image (N, C, H, W): frame k + 1; flow (N, 2, H, W) in pixels, from frame k to k + 1, u right and v down. Bilinear;
    outside the image its border is repeated. Where the flow is right the result resembles frame k.
    """
    height, width = image.shape[-2:]
    u, v = flow.unbind(1)
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + u
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + v
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


@torch.no_grad()
def errors(outputs: dict[str, Tensor], batch, face: Tensor) -> dict[str, Tensor]:
    """Auxiliary errors per clip (B,) of the tasks in `outputs`, beside the constants that make them readable.

    epe, epe_zero: pixels, mean over the clip's pairs, of the estimated flow and of zero flow. nme, nme_mean_face:
    fraction of the inter-ocular distance, mean over frames 1..t-1, of the network and of the mean face `face` (68, 2),
    pixels of the crop. failures: fraction of those frames with an error above 10 %.
    """
    found = {}
    if "flow" in outputs:
        found["epe"] = epe(outputs["flow"], batch.flow).mean(1)
        found["epe_zero"] = epe(torch.zeros_like(batch.flow), batch.flow).mean(1)
    if "landmarks" in outputs:
        truth = batch.points[:, 1:]
        found["nme"] = nme(outputs["landmarks"], truth).mean(1)
        found["nme_mean_face"] = nme(face.to(truth), truth).mean(1)
        found["failures"] = failure(outputs["landmarks"], truth).to(truth.dtype).mean(1)
    return found
