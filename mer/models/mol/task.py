"""MOL in training: expressions, flow and landmarks together (section 3)."""

import torch
from torch import Tensor

from mer.models.mol import losses
from mer.models.mol.network import MOL
from mer.training import inputs, reading
from mer.training.task import Method


class Folds(Method):
    """Classes, flow and landmarks, those of mol.tasks; weights of Eq. 9."""

    head_key = MOL.HEAD

    def __init__(self, params):
        super().__init__(params)
        self.weights = {"mer": 1.0, "flow": params.lambda_f, "landmark": params.lambda_m}  # Eq. 9
        self.classifies = "mer" in params.mol.tasks

    def load(self, data, entries, device):
        return reading.load(data, entries, self.params.sampling, with_flow="flow" in self.params.mol.tasks,
                            device=device, resident_gb=self.params.train.resident_gb)

    def build(self, n_classes):
        return MOL(self.params.mol, n_classes)

    def fit(self, model, clips, rows, crop, *, fresh):
        mean, sd, residual, shape = inputs.statistics(clips, rows)
        face = shape - (clips.shape[-1] - crop) // 2  # the mean face, in pixels of the centre crop
        model.fit_input(mean, sd, residual)
        if fresh:
            model.set_mean_shape(face.cpu())
        return {"face": face}

    def forward(self, model, batch):
        return model(batch.frames, batch.pairs)

    def trunk(self, model):
        parts = (model.stem, model.branch_one, model.branch_two)
        return [parameter for part in parts if part is not None for parameter in part.parameters()]

    def losses(self, outputs, batch):
        return losses.mol_losses(outputs, batch, self.params.mol.landmark_loss)

    def errors(self, outputs, batch, constants):
        return losses.errors(outputs, batch, constants["face"])

    def keep(self, model, outputs, batch) -> dict[str, Tensor]:
        kept = {}
        if "flow" in outputs:
            kept |= {"flow": outputs["flow"].half(), "flow_label": batch.flow.half(), "pair": batch.pairs.int()}
        if "landmarks" in outputs:
            kept["landmarks"] = outputs["landmarks"].to(torch.float32)
        return kept
