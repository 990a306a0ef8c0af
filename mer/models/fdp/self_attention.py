"""Multi-head self-attention over the positions of a map (FDP, Eq. 1-3)."""

import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Tokens (N, P, C) -> (N, P, C): softmax(Q K^T / sqrt(C / heads)) V by heads, then a fully-connected layer.

    One layer makes queries, keys and values. With `sr_ratio` r > 1 keys and values are made of the means of r * r
    successive tokens after batch norm. # paper: Eq. 1-2 use all tokens; released code: r = 8, 4, 2, 1 by stages, in a
    class it never builds; here: a switch.
    """

    def __init__(self, channels: int, heads: int, *, qkv_bias: bool = True, sr_ratio: int = 1):
        super().__init__()
        self.heads, self.sr_ratio = heads, sr_ratio
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.out = nn.Linear(channels, channels)
        if sr_ratio > 1:
            self.norm = nn.BatchNorm1d(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, P, C) -> the same shape; with `sr_ratio` r, P is a multiple of r * r."""
        if self.sr_ratio == 1:
            query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        else:
            query, key, value = self._reduced(tokens)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))

    def _reduced(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        channels, bias = tokens.shape[2], self.qkv.bias
        means = tokens.unflatten(1, (-1, self.sr_ratio**2)).mean(2)
        means = self.norm(means.flatten(0, 1)).view_as(means)
        first, rest = slice(channels), slice(channels, None)
        query = F.linear(tokens, self.qkv.weight[first], None if bias is None else bias[first])
        both = F.linear(means, self.qkv.weight[rest], None if bias is None else bias[rest])
        key, value = both.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query.unflatten(2, (self.heads, -1)).transpose(1, 2), key, value
