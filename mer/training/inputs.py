"""What a network's inputs are fitted to: numbers of the training clips alone, by parts: they may be streamed."""

import torch

from mer.training.batches import Clips, Wanted

PART = 64  # clips that are on the device at once


def parts(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The clips `rows` (n,) by so many that are on the device at once where they are streamed."""
    return rows.cpu().split(PART)


def flows(clips: Clips, rows: torch.Tensor) -> torch.Tensor:
    """All flow labels (n, P, 2, H, W) of the clips `rows` (n,), on the device."""
    found = clips.find(Wanted(rows.cpu(), None, torch.arange(clips.flows).expand(len(rows), clips.flows)))
    return found.clips.flow[found.rows[:, None], found.columns]


def statistics(clips: Clips, rows: torch.Tensor) -> tuple[float, float, float, torch.Tensor]:
    """Pixel mean, pixel sd, sd after removing each clip's mean frame (all in [0, 1]), and the mean shape (68, 2).

    Over set 0 of the clips `rows` (the training clips of a fold). The mean shape is in crop pixels of the centre of
    the aligned picture's own coordinates; shift it by the crop's centre offset before use.
    """
    total = square = residual = count = 0.0
    shape = torch.zeros(68, 2, dtype=torch.float64, device=clips.label.device)
    for part in parts(rows):
        found = clips.find(Wanted(part, torch.zeros_like(part), None))
        frames = found.clips.frames[found.rows, found.chosen].double() / 255
        total += frames.sum().item()
        square += frames.square().sum().item()
        residual += (frames - frames.mean(dim=1, keepdim=True)).square().sum().item()
        count += frames.numel()
        # exact in double, but for coordinates of a thousandth of a pixel: the order of the sum does not matter
        shape += found.clips.points[found.rows, found.chosen].double().sum(dim=(0, 1))
    mean, shape = total / count, (shape / (len(rows) * clips.shape[1])).float()
    return mean, max(square / count - mean * mean, 1e-12) ** 0.5, max(residual / count, 1e-12) ** 0.5, shape
