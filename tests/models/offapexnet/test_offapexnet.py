"""OFF-ApexNet: both printed sizes, which stream sees which part of the flow, its input's scale, what is refused."""

from dataclasses import replace

import pytest
import torch
from pipeline import write_params

from mer import params
from mer.base.errors import MerError
from mer.models.offapexnet.config import Config
from mer.models.offapexnet.network import OffApexNet

FLOW = torch.randn(2, 2, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("form", "printed"), [("paper", 2_664_475), ("port", 807_909)])
def test_the_sizes_that_are_printed_for_it(form, printed):
    """2.66 M in a public comparison of methods; 807,909 by the library that computes CD6ME, both with three classes."""
    assert sum(w.numel() for w in OffApexNet(Config(form=form), 3).parameters()) == printed


def test_a_stream_of_the_paper_sees_one_part_of_the_flow():
    torch.manual_seed(0)
    model = OffApexNet(Config(), 3).eval()
    seen = []
    for stream in model.streams:
        stream.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    model(FLOW)
    assert [maps.shape for maps in seen] == [(2, 1, 28, 28)] * 2
    torch.testing.assert_close(torch.cat(seen, dim=1), model.maps(FLOW))


def test_maps_are_means_of_the_flow_in_its_own_pixels():
    model = OffApexNet(Config(side=16), 3)
    still = torch.full((1, 2, 64, 64), 0.75)
    assert torch.equal(model.maps(still), torch.full((1, 2, 16, 16), 0.75))
    torch.testing.assert_close(model.maps(FLOW), FLOW.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2)))


def test_the_unit_of_the_input_is_the_training_flow():
    """Twice the flow in twice the unit is the same input."""
    torch.manual_seed(0)
    model = OffApexNet(Config(), 3).eval()
    model.fit_input(0.5)
    once = model(FLOW)["logits"]
    model.fit_input(1.0)
    torch.testing.assert_close(model(2 * FLOW)["logits"], once)
    assert not torch.allclose(model(FLOW)["logits"], once)


@pytest.mark.parametrize(("changes", "words"), [
    ({"offapexnet": {"side": 30}}, "offapexnet.side = 30: expected a multiple of 4"),
    ({"offapexnet": {"form": "papr"}}, "offapexnet.form = 'papr'; expected one of paper, port"),
    ({"sampling": {"t": 8}}, "sampling.t = 8 with model = offapexnet; expected 2, onset and apex"),
    ({"offapexnet": {"side": 72}}, "pretrain.crop = 64; expected at least offapexnet.side = 72")])
def test_what_cannot_run_is_refused(changes, words, tmp_path):
    write_params(tmp_path / "params.yaml", {"model": "offapexnet", **changes})
    with pytest.raises(MerError, match=words):
        params.load(tmp_path / "params.yaml")


def test_an_invalid_network_is_not_built():
    with pytest.raises(MerError, match="multiple of 4"):
        OffApexNet(replace(Config(), side=10), 3)
