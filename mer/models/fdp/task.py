"""FDP in training: expressions, dynamic images and the order of frames together (section 3)."""

from torch import Tensor

from mer.models.fdp import losses
from mer.models.fdp.network import FDP
from mer.training import inputs
from mer.training.task import Method


class Folds(Method):
    """Classes, and with their tasks dynamic image and frames' order; weights of Eq. 8."""

    head_key = FDP.HEAD

    def __init__(self, params):
        super().__init__(params)
        self.weights = {"mer": 1.0, "dynamic": params.lambda_d, "rank": params.lambda_r}  # Eq. 8
        self.classifies = "mer" in params.fdp.tasks

    def build(self, n_classes):
        return FDP(self.params.fdp, n_classes)

    def fit(self, model, clips, rows, crop, *, fresh):
        model.fit_input(inputs.statistics(clips, rows)[2])
        if "dynamic" not in self.params.fdp.tasks:
            return {}
        return {"mean_image": losses.mean_dynamic_image(clips, rows, crop=crop, cfg=self.params.fdp)}

    def losses(self, outputs, batch):
        return losses.fdp_losses(outputs, batch, self.params.fdp)

    def errors(self, outputs, batch, constants):
        return losses.fdp_errors(outputs, batch, self.params.fdp, constants.get("mean_image"))

    def keep(self, model, outputs, batch) -> dict[str, Tensor]:
        kept = {}
        if "dynamic" in outputs:
            truth = losses.target(batch, self.params.fdp)
            kept |= {"dynamic": outputs["dynamic"][:, 0].half(), "dynamic_label": truth[:, 0].half()}
        if "scores" in outputs:
            kept["scores"] = outputs["scores"].float()
        return kept
