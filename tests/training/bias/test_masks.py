"""Images and masks are checked before anything is disturbed; each image gets another as donor."""

import pytest
import torch

from captum_influence.training.bias.masks import Scenes


def test_masks_come_with_or_without_a_channel_in_any_type() -> None:
    images, masks = torch.rand(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 4, 5) > 0.5
    for given in (masks, masks[:, None], masks.float()):
        found = Scenes.ensure(images, given, None, 0).masks
        assert found is not None
        assert (found.shape, found.dtype) == ((3, 1, 4, 5), torch.float64)
        assert torch.equal(found[:, 0], masks.double())
    assert Scenes.ensure(images, None, None, 0).masks is None


@pytest.mark.parametrize("count", [2, 3, 7])
def test_donors_go_round_a_circle(count: int) -> None:
    images = torch.arange(count, dtype=torch.float32).reshape(-1, 1, 1, 1) / count
    for seed in range(10):
        donors = Scenes.ensure(images, None, None, seed).donors()
        assert torch.equal(donors.sort(0).values, images)
        assert not (donors == images).any()
        assert torch.equal(donors, Scenes.ensure(images, None, None, seed).donors())


def test_others_that_are_given_are_the_donors() -> None:
    images, others = torch.rand(1, 1, 2, 2, dtype=torch.float64), torch.rand(1, 1, 2, 2)
    assert torch.equal(Scenes.ensure(images, None, others, 0).donors(), others.double())


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (torch.rand(2, 1, 4, 4) - 0.1, None, "undo the normalisation"),
        (torch.full((1, 1, 2, 2), torch.nan), None, "outside \\(or NaN\\)"),
        (torch.rand(2, 1, 4, 4), torch.ones(3, 4, 4), "one mask per image"),
        (torch.rand(2, 1, 4, 4), torch.full((2, 4, 4), -1.0), "divide by the maximum"),
    ],
)
def test_what_cannot_be_disturbed_is_refused(
    images: torch.Tensor, masks: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Scenes.ensure(images, masks, None, 0)
