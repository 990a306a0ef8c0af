"""OFF-ApexNet in training: the flow from onset to apex, and the class."""

from torch.nn import functional

from mer.models.offapexnet.network import OffApexNet
from mer.training import batches
from mer.training.task import Method


class Folds(Method):
    """Class scores from the flow between onset and apex; it has no task beside."""

    head_key = OffApexNet.HEAD

    def __init__(self, params):
        super().__init__(params)
        self.weights = {"mer": 1.0}

    def load(self, data, entries, device):
        return batches.load(data, entries, self.params.sampling, with_flow=True, device=device)

    def build(self, n_classes):
        return OffApexNet(self.params.offapexnet, n_classes)

    def fit(self, model, clips, rows, crop, *, fresh):
        flow = clips.flow[rows.to(clips.label.device)].flatten(0, 1).float()
        model.fit_input(model.maps(flow).square().mean().sqrt().item())
        return {}

    def forward(self, model, batch):
        return model(batch.flow[:, 0])

    def losses(self, outputs, batch):
        return {"mer": functional.cross_entropy(outputs["logits"], batch.label)}

    def keep(self, model, outputs, batch):
        return {"maps": model.maps(batch.flow[:, 0]).half()}
