"""Dynamic image construction: the dynamic representation F^(d) to the estimated dynamic image (FDP, Fig. 3)."""

import itertools

import torch
from torch import Tensor, nn

from mer.models.fdp.multi_head_conv import Pointwise
from mer.models.parts.pooling import max_pool, max_pool_with_places, max_unpool


class EncoderDecoder(nn.Module):
    """(B, inputs, 64, 64) -> (B, 1, 64, 64) in (0, 1): four encoder and four decoder blocks with additive skips.

    paper: widths not given; here: 64, 128, 256, 512 down and 256, 128, 64, 32 up, times `width`.
    """

    WIDTHS = (64, 128, 256, 512)

    def __init__(self, inputs: int, width: float = 1.0):
        super().__init__()
        down = [max(1, round(c * width)) for c in self.WIDTHS]
        up = [max(1, round(c * width)) for c in (256, 128, 64, 32)]
        self.encoder = nn.ModuleList(_block(i, o) for i, o in zip([inputs, *down], down, strict=False))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(c, c, 2, 2) for c in down[::-1])
        self.decoder = nn.ModuleList(_block(i, o) for i, o in zip(down[::-1], up, strict=True))
        self.out = nn.Conv2d(up[-1], 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, 64, 64) -> (B, 1, 64, 64) in (0, 1)."""
        kept = []
        for block in self.encoder:
            kept.append(block(maps))
            maps = max_pool(kept[-1], 2)
        for enlarge, block in zip(self.enlarge, self.decoder, strict=True):
            maps = block(enlarge(maps) + kept.pop())
        return torch.sigmoid(self.out(maps))


def _block(inputs: int, channels: int) -> nn.Sequential:
    # paper: "leaky ReLU"; here: torch's slope 0.01
    return nn.Sequential(
        nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU()
    )


class MapsDecoder(nn.Module):
    """(ours) `fdp.dic_input: spatial`: the backbone's maps of a clip's frames -> (B, 1, 64, 64) in (0, 1).

    paper: EncoderDecoder of F^(d), each number of which has gone through a mean over the last stage's positions; here:
    the backbone itself is the encoder, and maps of its stem and of the end of each stage are skipped to the decoder
    with their positions. They are summed over the frames, channel by channel, with learned weights that start as those
    of the dynamic image; a pointwise convolution with batch norm brings them to the decoder's width, and they are
    added, as the skips of Fig. 3 are. Widths are those of EncoderDecoder, with its widest block once more for each side
    below. It starts at 0.5 everywhere, which is no motion: from another level a short training does not come back.
    """

    SIDES = (2, 4, 8, 16, 32, 64)
    WIDTHS = (512, 512, 512, 256, 128, 64, 32)  # of the maps of each side, before its block; the last: after all

    def __init__(self, shapes: list[tuple[int, int]], weights: Tensor, width: float = 1.0):
        """shapes: (channels, side) of the backbone's maps, the largest first; weights (t,): of the frames, at first."""
        super().__init__()
        self.sides = [side for _, side in shapes]
        start = self.SIDES.index(self.sides[-1])
        widths = [max(1, round(c * width)) for c in self.WIDTHS[start:]]
        at = dict(zip(self.SIDES[start:], widths, strict=False))
        self.weights = nn.ParameterList(weights[:, None].repeat(1, channels) for channels, _ in shapes)
        self.skips = nn.ModuleList(
            nn.Sequential(Pointwise(channels, at[side], bias=False), nn.BatchNorm2d(at[side]))
            for channels, side in shapes)
        self.blocks = nn.ModuleList(_block(i, o) for i, o in itertools.pairwise(widths))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(c, c, 2, 2) for c in widths[1:-1])
        self.out = nn.Conv2d(widths[-1], 1, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Maps (B, t, channels, side, side) of those shapes, the largest first -> (B, 1, 64, 64) in (0, 1)."""
        skips = {side: skip(torch.einsum("btchw,tc->bchw", maps, weights)) for side, skip, maps, weights in
                 zip(self.sides, self.skips, stages, self.weights, strict=True)}
        maps = self.blocks[0](skips.pop(self.sides[-1]))
        for enlarge, block in zip(self.enlarge, self.blocks[1:], strict=True):
            maps = enlarge(maps)
            skip = skips.pop(maps.shape[-1], None)
            maps = block(maps if skip is None else maps + skip)
        return torch.sigmoid(self.out(maps))


class SegNet(nn.Module):
    """The same task in the released code: VGG16's convolutions down, mirrored up, maxima put back to their places.

    # paper: EncoderDecoder; released code: this; here: a switch, off by default.
    """

    STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, inputs: int, width: float = 1.0):
        super().__init__()
        stages = [[max(1, round(c * width)) for c in stage] for stage in self.STAGES]
        firsts = [inputs, *(stage[-1] for stage in stages)]
        self.encoder = nn.ModuleList(_chain([i, *stage]) for i, stage in zip(firsts, stages, strict=False))
        ups = [[*reversed(stage), i] for i, stage in zip(firsts, stages, strict=False)]
        ups[0].pop()  # the last convolution makes the picture
        self.decoder = nn.ModuleList(map(_chain, reversed(ups)))
        self.out = nn.Conv2d(stages[0][0], 1, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, 64, 64) -> (B, 1, 64, 64) in (0, 1)."""
        kept = []
        for stage in self.encoder:
            maps, places = max_pool_with_places(stage(maps))
            kept.append(places)
        for stage in self.decoder:
            maps = stage(max_unpool(maps, kept.pop()))
        return torch.sigmoid(self.out(maps))


def _chain(channels: list[int]) -> nn.Sequential:
    parts = []
    for inputs, out in itertools.pairwise(channels):
        parts += [nn.Conv2d(inputs, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*parts)
