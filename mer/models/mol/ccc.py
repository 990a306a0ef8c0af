"""Channel correspondence convolution (CCC): a graph convolution whose nodes are channels (section 3.2.2, Eq. 4-5)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def neighbours(nodes: Tensor, k: int, include_self: bool = True) -> Tensor:
    """Indices (N, nodes, k) of the k nodes of nodes (N, nodes, D) with the highest cosine similarity to each node.

    No gradient. Computed in float32 at least, also under autocast, since half precision would reorder near neighbours.
    """
    with torch.autocast(nodes.device.type, enabled=False):
        wide = nodes if nodes.dtype == torch.float64 else nodes.float()
        unit = F.normalize(wide, dim=-1, eps=1e-12)
        similarity = torch.bmm(unit, unit.mT)
        if not include_self:
            similarity.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        return similarity.topk(k, dim=-1).indices


def gather_nodes(values: Tensor, index: Tensor) -> Tensor:
    """values (N, nodes, D), index (N, nodes, k) -> (N, nodes, k, D): the values of every node's neighbours."""
    clips, nodes, width = values.shape
    offset = torch.arange(0, clips * nodes, nodes, device=index.device)[:, None, None]
    return values.flatten(0, 1).index_select(0, (index + offset).flatten()).view(*index.shape, width)


class _NeighbourMax(torch.autograd.Function):
    """max_j of rows[index[:, j]] per element; where several neighbours share it, the first of them takes the gradient.

    Written out because the gradient of `amax` passes over all k-fold data several times.
    """

    @staticmethod
    def forward(ctx, rows: Tensor, index: Tensor) -> Tensor:
        gathered = rows.index_select(0, index.T.flatten()).view(index.shape[1], *rows.shape)
        best = gathered.amax(dim=0)
        ctx.save_for_backward(gathered, best, index)
        return best

    @staticmethod
    def backward(ctx, grad: Tensor):
        gathered, best, index = ctx.saved_tensors
        total = torch.zeros_like(grad)
        for values, rows in zip(gathered, index.T, strict=True):
            share = torch.where(values == best, grad, 0)
            total.index_add_(0, rows, share)
            grad = grad - share
        return total, None


def neighbour_max(values: Tensor, index: Tensor) -> Tensor:
    """values (N, nodes, D), neighbours index (N, nodes, k) -> (N, nodes, D): per element, the largest of a node's k."""
    clips, nodes, _ = values.shape
    first = torch.arange(0, clips * nodes, nodes, device=index.device)[:, None, None]
    return _NeighbourMax.apply(values.flatten(0, 1), (index + first).flatten(0, 1)).view(values.shape)


class CCC(nn.Module):
    """(N, C, H, W) -> the same: k-NN graph of channels, Eq. 4-5, then a 1x1 convolution.

    Eq. 4 is e_ij = ReLU(W1 f_i + W2 (f_j - f_i) + b), f_i the flattened channel. Eq. 5 takes the maximum over the
    neighbours j. ReLU and the summands of node i pass through the maximum, so with u_i = (W1 - W2) f_i + b and
    v_j = W2 f_j the result is ReLU(u_i + max_j v_j): two products per node in place of two per edge.
    paper: no bias mentioned; released code: one in each of two linear maps; here: one, since only their sum acts.
    """

    def __init__(self, channels: int, positions: int, k: int, include_self: bool = True):
        super().__init__()
        self.k, self.include_self = k, include_self
        self.node = nn.Linear(positions, positions)
        self.edge = nn.Linear(positions, positions, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def aggregate(self, nodes: Tensor) -> Tensor:
        """Eq. 4-5 on nodes (N, C, H*W)."""
        index = neighbours(nodes, self.k, self.include_self)
        own = F.linear(nodes, self.node.weight - self.edge.weight, self.node.bias)
        return F.relu(own + neighbour_max(self.edge(nodes), index))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.out(self.aggregate(maps.flatten(2)).view(maps.shape))


class ReleasedCCC(nn.Module):
    """CCC as released: neighbours are searched among pixels, each channel reads only itself, no 1x1 convolution.

    out_c = ReLU(W1 x_c + W2 (g_cj - 2 x_c) + b), maximum over j, with g_cj the channel c read at the j-th nearest pixel
    of every pixel. paper: a graph of channels (class CCC); released code: this, two biases; here: this, one bias.
    """

    def __init__(self, channels: int, positions: int, k: int, include_self: bool = True):
        super().__init__()
        self.k, self.include_self = k, include_self
        self.node = nn.Linear(positions, positions)
        self.edge = nn.Linear(positions, positions, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, not negative."""
        channels = maps.flatten(2)
        index = neighbours(channels.mT, self.k, self.include_self)
        gathered = gather_nodes(channels.mT, index).permute(0, 3, 2, 1)  # (N, C, k, H*W)
        own = F.linear(channels, self.node.weight - 2 * self.edge.weight, self.node.bias)
        return F.relu(own + self.edge(gathered).amax(dim=2)).view(maps.shape)
