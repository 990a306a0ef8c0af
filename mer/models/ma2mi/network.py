"""MIACNet: where a face moves and how, from two frames (MA2MI, arXiv 2405.16451, section 3.1 and Fig. 2).

Reading order: ma2mi_config.py names every switch; resnet_trunk.py, dit.py and this file, which joins them;
autoencoder.py makes the latents that DiT predicts; mer/models/ma2mi/losses.py says what is learned from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.base import knobs
from mer.base.errors import MerError
from mer.models.ma2mi.config import CHANNELS, Config, condition_size, latent_shape, validate
from mer.models.ma2mi.dit import DiT
from mer.models.parts.resnet18 import ResNetTrunk

# Mean and sd of ImageNet's pixels, which the encoders' input is scaled with (MMNet; the paper gives none).
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MIACNet(nn.Module):
    """The network of one configuration: two encoders, and as asked for a classifier and DiT.

    Gradients: the classifier's loss reaches both encoders. The reconstruction loss reaches DiT, the fusion and the
    action encoder; with cfg.position_loss not the position encoder, which L_pos alone trains ("trained independently
    with different losses"). L_pos reaches the position encoder only.

    Args:
        n_classes: outputs of the classifier, whose weights start at zero; 0 = none (pretraining without labels).
        reconstruct: whether DiT is part of the network (pretraining ma2mi; fine-tuning with keep_reconstruction).
        frozen: encoders that are not trained, of "fpe" and "fae"; their batch norm stays in evaluation mode.

    Raises:
        MerError: `cfg` is not valid.
    """

    HEAD = "head"  # the layer whose rows are classes

    def __init__(self, cfg: Config, n_classes: int = 0, *, reconstruct: bool = False,
                 frozen: tuple[str, ...] = ()):
        super().__init__()
        knobs.refuse(validate(cfg))
        self.cfg, self.frozen = cfg, frozen
        self.fpe = ResNetTrunk(CHANNELS, cfg.width, cfg.cell) if cfg.fpe else None
        self.fae = ResNetTrunk(CHANNELS, cfg.width, cfg.cell)
        self.head = nn.Linear(condition_size(cfg), n_classes) if n_classes else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.dit = None
        if reconstruct:
            self.dit = DiT(*latent_shape(cfg), condition_size(cfg), cfg.dit_width, cfg.dit_depth, cfg.dit_heads,
                           cfg.predict == "residual")
        for name in frozen:
            self.get_submodule(name).requires_grad_(False)
        self.register_buffer("pixel_mean", torch.tensor(MEAN).view(CHANNELS, 1, 1), persistent=False)
        self.register_buffer("pixel_sd", torch.tensor(SD).view(CHANNELS, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "MIACNet":
        """As nn.Module's, but frozen encoders stay in evaluation mode: their batch norm keeps its statistics."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, frames: Tensor, latent: Tensor | None = None, warped: Tensor | None = None) -> dict[str, Tensor]:
        """frames (B, 2, 1 or 3, H, H) in [0, 1]: I_t and I_{t+d}, in fine-tuning onset and apex; resized to cfg.size.

        Args:
            latent: (B, L, s, s) z_t, for the reconstruction.
            warped: (B, 1 or 3, H, H) in [0, 1], T(I_t), for the position losses.

        Returns:
            As far as asked for: logits (B, n_classes); latent (B, L, s, s), the estimate of z_{t+d}; position and
            position_warped (B, K, h, h), F_p of I_t and of T(I_t), h = cfg.size / cfg.cell; both pass through the
            encoder together, so that batch norm sees both.
        """
        if frames.ndim != 5 or frames.shape[1] != 2 or frames.shape[2] not in (1, CHANNELS):
            raise ValueError(f"frames {tuple(frames.shape)}: expected (B, 2, 1 or {CHANNELS}, H, H)")
        outputs, position = {}, None
        if self.fpe is not None:
            pictures = frames[:, 0] if warped is None else torch.cat([frames[:, 0], warped])
            position = self.positions(pictures)
            if warped is not None:
                position, outputs["position_warped"] = position.chunk(2)
                outputs["position"] = position
        action = self.actions(frames)
        if self.head is not None:
            outputs["logits"] = self.head(self.fuse(position, action))
        if self.dit is not None and latent is not None:
            apart = position.detach() if self.cfg.position_loss else position
            outputs["latent"] = self.dit(latent, self.fuse(apart, action))
        # Under autocast the layers compute in half precision; what leaves the network has the network's own precision.
        return {name: output.to(self.pixel_mean.dtype) for name, output in outputs.items()}

    def positions(self, pictures: Tensor) -> Tensor:
        """F_p (B, K, h, h) of pictures (B, 1 or 3, H, H) in [0, 1]."""
        return self.fpe((resize(pictures, self.cfg.size) - self.pixel_mean) / self.pixel_sd)

    def actions(self, frames: Tensor) -> Tensor:
        """F_a (B, K, h, h) of frames (B, 2, 1 or 3, H, H): of the later minus the earlier (Eq. 1)."""
        return self.fae(resize(frames[:, 1] - frames[:, 0], self.cfg.size) / self.pixel_sd)

    def fuse(self, position: Tensor | None, action: Tensor) -> Tensor:
        """The condition vector c (B, D) of F_p and F_a (B, K, h, w); without F_p, of F_a alone (Table 4, row 1).

        # paper: how the two are merged is lost; here: added on the grid and flattened (MMNet), or as cfg.fusion
        """
        kind = self.cfg.fusion
        if position is None:
            maps = action
        elif kind == "concat":
            maps = torch.cat([position, action], dim=1)
        elif kind == "gate":
            maps = F.normalize(position, dim=1) * action
        else:
            maps = position + action
        return maps.flatten(1) if kind == "add_flat" else maps.mean(dim=(2, 3))


def resize(pictures: Tensor, size: int) -> Tensor:
    """Pictures (N, C, H, H) in `size` pixels a side, bilinear with antialiasing; as they are if they have that size."""
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", antialias=True)


def carry_over(model: MIACNet, state: dict[str, Tensor]) -> None:
    """Load a pretrained network's encoders, and its DiT if `model` has one, from its state dict; the head stays zero.

    Raises:
        MerError: a tensor of the encoders or of DiT is missing, left over or of another shape.
    """
    own = model.state_dict()
    kept = [name for name in ("fpe", "fae", "dit") if getattr(model, name) is not None]

    def carried(key: str) -> bool:
        return key.split(".")[0] in kept

    for key in sorted(filter(carried, {*own, *state})):
        found, wanted = (tuple(tensors[key].shape) if key in tensors else "missing" for tensors in (state, own))
        if found != wanted:
            raise MerError(f"pretrained checkpoint: tensor {key} is {found}, the model needs {wanted}; pretrain with "
                           "the same ma2mi settings, or set ma2mi.pretraining to none")
    model.load_state_dict({key: state[key] if carried(key) else value for key, value in own.items()})


def grad_cam(model: MIACNet, frames: Tensor, classes: Tensor | None = None) -> Tensor:
    """Heat maps (B, H, H) in [0, 1] of frames (B, 2, 1 or 3, H, H): Grad-CAM on the last block of FAE (Fig. 6).

    Channels of F_a are weighted by the mean gradient of the class score over the grid, summed, cut at zero, scaled to
    the picture's own maximum (a map without any positive value stays zero) and enlarged bilinearly.

    Args:
        classes: (B,) the classes whose scores are explained; None = the predicted ones.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            position = None if model.fpe is None else model.positions(frames[:, 0])
            maps = model.actions(frames)
        with torch.enable_grad():
            maps = maps.requires_grad_()
            logits = model.head(model.fuse(position, maps))
            chosen = logits.argmax(dim=1) if classes is None else classes
            (gradient,) = torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), maps)
    finally:
        model.train(was_training)
    heat = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1, keepdim=True).relu()
    heat = F.interpolate(heat, frames.shape[3:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)
