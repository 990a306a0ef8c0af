"""Losses of MA2MI: the three parts of L_pos (Eq. 2-6), the reconstruction (Eq. 9), and what tells whether it learns.

The paper's formulas are lost; these are read from its words (section 3.1, 3.2.1). Everything here computes in the
precision of its input: outputs of the network are float32 also under autocast.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mer.models.ma2mi.config import Config

KL_WEIGHT = 1e-6


def unit_vectors(features: Tensor) -> Tensor:
    """Features (B, K, h, w) -> their directions (B, N, K), N = h w positions in row order."""
    return F.normalize(features.flatten(2).transpose(1, 2), dim=2)


def diversity_loss(units: Tensor) -> Tensor:
    """L_div (Eq. 2): mean cosine of the features (B, N, K) of two different positions of a face, mean of the batch.

    The sum of all cosines is the squared length of the vectors' sum, so no N x N product is needed.
    """
    count = units.shape[1]
    pairs = units.sum(1).square().sum(1) - units.square().sum((1, 2))
    return pairs.mean() / max(count * (count - 1), 1)


@torch.no_grad()
def match(similarity: Tensor, kind: str = "hungarian") -> Tensor:
    """m (Eq. 4): for each position i of a face the index of the position of another one that corresponds, (B, N).

    similarity (B, N, N): cosines. "hungarian": the one-to-one assignment with the largest sum ("uniquely
    corresponds"); "argmax": the best for each i alone. Raises ValueError for any other kind.
    """
    if kind == "argmax":
        return similarity.argmax(dim=2)
    if kind != "hungarian":
        raise ValueError(f"match {kind!r}: expected hungarian or argmax")
    # a loss that has left the finite numbers is told by name by the training loop, not by scipy from in here
    costs = -similarity.float().nan_to_num().cpu().numpy()
    columns = np.stack([linear_sum_assignment(cost)[1] for cost in costs])
    return torch.from_numpy(columns).to(similarity.device)


def consistency_loss(units: Tensor, kind: str = "hungarian") -> Tensor:
    """L_con (Eq. 3): 1 - cosine of matched positions of two faces, mean over positions and faces.

    units (B, N, K): the other face of each is the next one in the batch, from another clip; a batch of one has none,
    and gives 0. The matching takes no part in the gradient.
    """
    similarity = units @ units.roll(-1, 0).transpose(1, 2)
    if len(units) == 1:
        return similarity.sum() * 0
    chosen = F.one_hot(match(similarity, kind), similarity.shape[2])
    return 1 - (similarity * chosen).sum((1, 2)).mean() / units.shape[1]


def random_affine(count: int, *, rotation: float, translation: float, generator: torch.Generator) -> Tensor:
    """T of Eq. 5: matrices (count, 2, 3) that take an output's normalised coordinates to the input's (affine_grid's).

    Angles uniform within +-rotation degrees about the centre, shifts uniform within +-translation of the side.
    """
    draw = torch.rand(3, count, generator=generator) * 2 - 1
    angle = draw[0] * math.radians(rotation)
    shift = 2 * translation * draw[1:]  # the side is 2 long in normalised coordinates
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1)


@torch.no_grad()
def warp_images(images: Tensor, theta: Tensor) -> Tensor:
    """T(X) of images (B, C, H, W): bilinear, beyond the picture its border is repeated."""
    grid = F.affine_grid(theta.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def warp_matrix(theta: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """T on a grid of positions as a matrix (B, N, N) of bilinear weights, and which positions are valid, (B, N) bool.

    Position i of T(F) is the weighted sum over j of F. Valid are positions whose warped cell lies fully inside the
    picture, since what comes from outside is invented. A matrix, because grid_sample has no deterministic gradient on
    CUDA; N is 49.
    """
    like = {"device": theta.device, "dtype": theta.dtype}
    size = torch.cat([torch.full((1,), side, **like) for side in (width, height)])  # made on the device

    def cells(dx: float, dy: float) -> Tensor:
        """Input coordinates (B, N, 2), from 0 to (width, height), of the point (dx, dy) in cells off the centres."""
        x = 2 * (torch.arange(width, **like) + 0.5 + dx) / width - 1
        y = 2 * (torch.arange(height, **like) + 0.5 + dy) / height - 1
        points = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width, **like)], dim=1)
        return (points @ theta.transpose(1, 2) + 1) / 2 * size

    centre = cells(0, 0) - 0.5

    def weights(coordinate: Tensor, count: int) -> Tensor:
        return (1 - (coordinate[..., None] - torch.arange(count, **like)).abs()).clamp_min(0)

    matrix = (weights(centre[..., 1], height)[..., :, None] * weights(centre[..., 0], width)[..., None, :]).flatten(2)
    corners = torch.stack([cells(dx, dy) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)])
    inside = (corners >= -1e-4) & (corners <= size + 1e-4)  # a shift of whole cells ends on the very border
    return matrix, inside.all(dim=3).all(dim=0)


def equivariance_loss(features: Tensor, warped: Tensor, theta: Tensor, unit_norm: bool = True) -> Tensor:
    """L_spa (Eq. 5): length of T(E_p(X)) - E_p(T(X)) at a position, mean over the valid positions of all pictures.

    features, warped (B, K, h, w): E_p(X) and E_p(T(X)); theta (B, 2, 3) as `random_affine`. With `unit_norm` (ours)
    both are of unit length per position first: the other two losses know no scale, so that without it shrinking the
    features would lower this one. Zero if no position is valid.
    """
    if unit_norm:
        first, second = unit_vectors(features), unit_vectors(warped)
    else:
        first, second = features.flatten(2).transpose(1, 2), warped.flatten(2).transpose(1, 2)
    matrix, valid = warp_matrix(theta.to(features), *features.shape[2:])
    distance = torch.linalg.vector_norm(matrix @ first - second, dim=2)
    return torch.where(valid, distance, 0).sum() / valid.sum().clamp_min(1)


def reconstruction_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """L_rec (Eq. 9): 1-norm of the error of z_{t+d} (B, L, s, s), mean over its elements."""
    return F.l1_loss(estimate, truth)


def ma2mi_losses(outputs: dict[str, Tensor], batch, cfg: Config) -> dict[str, Tensor]:
    """The losses of what is in `outputs` (of MIACNet.forward), unweighted; `ma2mi_config.loss_weights` has the weights.

    batch: label (B,) for logits; latents (B, 2, L, s, s), z_t and z_{t+d}, for latent; theta (B, 2, 3) for position.
    """
    losses = {}
    if "logits" in outputs:
        losses["mer"] = F.cross_entropy(outputs["logits"], batch.label)
    if "latent" in outputs:
        losses["reconstruction"] = reconstruction_loss(outputs["latent"], batch.latents[:, 1])
    if "position" in outputs:
        units = unit_vectors(outputs["position"])
        losses["diversity"] = diversity_loss(units)
        losses["consistency"] = consistency_loss(units, cfg.match)
        losses["equivariance"] = equivariance_loss(outputs["position"], outputs["position_warped"], batch.theta,
                                                   cfg.unit_norm)
    return losses


def conv_ae_losses(outputs: dict[str, Tensor], batch) -> dict[str, Tensor]:
    """For the training of conv_ae, of ConvAe.forward on batch.frames (B, t, 1 or 3, S, S) in [0, 1].

    pixels: L1 in [-1, 1], mean. kl: divergence of the posterior from N(0, 1), summed over a picture's latent and
    divided by the number of its values, as latent diffusion does, so that KL_WEIGHT means the same.
    """
    truth = (2 * batch.frames.flatten(0, 1) - 1).expand_as(outputs["pixels"])
    mean, logvar = outputs["mean"], outputs["logvar"]
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum()
    return {"pixels": F.l1_loss(outputs["pixels"], truth), "kl": divergence / truth.numel()}


def shuffled(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Maps (B, K, h, w) with the positions of each put in a random order of its own; all channels move together."""
    order = torch.rand(len(maps), maps.shape[2:].numel(), generator=generator).argsort(dim=1).to(maps.device)
    return maps.flatten(2).gather(2, order[:, None].expand(-1, maps.shape[1], -1)).unflatten(2, maps.shape[2:])


@torch.no_grad()
def diagnose(model, batch, generator: torch.Generator) -> dict[str, Tensor]:
    """What tells whether the reconstruction learns, mean L1 errors in evaluation mode of one batch.

    reconstruction: as it is; copy: of taking z_t for z_{t+d}, which it must beat; shuffled_c: with the condition of the
    next clip in the batch; shuffled_action and shuffled_position: with F_a or F_p shuffled over the grid (the
    consistency loss makes F_p alike between clips, so that another's would say nothing). Where these are no larger, DiT
    does not use it. shuffled_position is left out without a position encoder.

    model: a MIACNet with DiT; batch: frames (B, 2, C, S, S) and latents (B, 2, L, s, s), B >= 2.
    """
    was_training = model.training
    model.eval()
    try:
        earlier, later = batch.latents.unbind(1)
        position = None if model.fpe is None else model.positions(batch.frames[:, 0])
        action = model.actions(batch.frames)

        def error(condition: Tensor) -> Tensor:
            return reconstruction_loss(model.dit(earlier, condition).to(later.dtype), later)

        condition = model.fuse(position, action)
        found = {"reconstruction": error(condition), "copy": reconstruction_loss(earlier, later),
                 "shuffled_c": error(condition.roll(1, 0)),
                 "shuffled_action": error(model.fuse(position, shuffled(action, generator)))}
        if position is not None:
            found["shuffled_position"] = error(model.fuse(shuffled(position, generator), action))
    finally:
        model.train(was_training)
    return found
