"""OFF-ApexNet in training: the flow from onset to apex, and the class."""

import torch
from torch.nn import functional

from mer.models.offapexnet.network import OffApexNet
from mer.training import inputs, reading
from mer.training.task import Method


class Folds(Method):
    """Class scores from the flow between onset and apex; it has no task beside."""

    head_key = OffApexNet.HEAD

    def __init__(self, params):
        super().__init__(params)
        self.weights = {"mer": 1.0}

    def load(self, data, entries, device):
        return reading.load(data, entries, self.params.sampling, with_flow=True, device=device,
                            resident_gb=self.params.train.resident_gb)

    def build(self, n_classes):
        return OffApexNet(self.params.offapexnet, n_classes)

    def fit(self, model, clips, rows, crop, *, fresh):
        maps = torch.cat([model.maps(inputs.flows(clips, part).flatten(0, 1).float()) for part in inputs.parts(rows)])
        model.fit_input(maps.square().mean().sqrt().item())
        return {}

    def forward(self, model, batch):
        return model(batch.flow[:, 0])

    def losses(self, outputs, batch):
        return {"mer": functional.cross_entropy(outputs["logits"], batch.label)}

    def keep(self, model, outputs, batch):
        return {"maps": model.maps(batch.flow[:, 0]).half()}
