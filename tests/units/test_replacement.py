"""What takes the place of removed units."""

import pytest
import torch
from torch import Tensor

from captum_influence import Cut
from captum_influence.units.axes import Axis
from captum_influence.units.replacement import Constant, MeanActivation, Replacement, Resample

CUT = Cut("relu")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def test_a_number_or_one_examples_activations_are_the_same_for_all(model) -> None:
    batch = torch.zeros(4, 3, 2, 2)
    assert Replacement.ensure(0.5, model, CUT).like(batch).tolist() == 0.5
    one = torch.rand(3, 2, 2)
    found = Replacement.ensure(one, model, CUT).like(batch)
    assert torch.equal(found.expand_as(batch), one.expand_as(batch))


def test_a_replacement_of_ones_own_is_taken_as_it_is(model) -> None:
    class Half(Replacement):
        def like(self, activations: Tensor) -> Tensor:
            return activations / 2

    half = Half()
    assert Replacement.ensure(half, model, CUT) is half
    assert Replacement.with_loader(half, model, CUT, None) is half
    assert half.in_words() == "Half"


def test_the_mean_is_taken_entry_by_entry_from_a_tensor_or_a_loader(model, images) -> None:
    with torch.no_grad():
        z = model.relu(model.eyes(images)).clone()
    for reference in (z, [images[:2], images[2:]], [(images, torch.zeros(5))]):
        found = Replacement.ensure("mean", model, CUT, reference)
        torch.testing.assert_close(found.like(z), z.mean(dim=0), rtol=0, atol=1e-12)


def test_means_of_batches_of_different_length_count_examples() -> None:
    assert MeanActivation.of([torch.ones(1, 2), 4 * torch.ones(2, 2)]).value.tolist() == [3, 3]


def test_a_mean_over_places_too_has_one_number_per_channel() -> None:
    value = torch.rand(3, 2, 2)
    pooled = MeanActivation(value).pooled(Axis.ensure("channel", (3, 2, 2))).value
    for channel in range(3):
        assert pooled[channel].flatten().tolist() == pytest.approx(
            [float(value[channel].mean())] * 4
        )
    same = MeanActivation(value).pooled(Axis.ensure("neuron", (3, 2, 2))).value
    assert torch.equal(same, value)


def test_resampling_takes_whole_examples_the_same_ones_each_time() -> None:
    reference = torch.arange(40.0)[:, None, None, None].expand(40, 3, 2, 2)
    state = torch.get_rng_state()
    drawn = Resample(reference, seed=3).like(reference[:6])
    assert torch.equal(drawn, Resample.of([reference[:9], reference[9:]], 3).like(reference[:6]))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(len(row.unique()) == 1 for row in drawn)
    assert len({float(row.max()) for row in drawn}) > 1
    assert not torch.equal(Resample(reference, seed=4).like(reference[:6]), drawn)


def test_a_loader_at_hand_is_read_only_where_a_word_asks_for_it(model, images) -> None:
    def unread():
        raise AssertionError
        yield

    assert isinstance(Replacement.with_loader(0, model, CUT, unread()), Constant)
    mean = Replacement.with_loader("mean", model, CUT, [images])
    assert isinstance(mean, MeanActivation)
    drawn = Replacement.with_loader("resample", model, CUT, [images], seed=7)
    assert isinstance(drawn, Resample)
    assert drawn.seed == 7


def test_they_say_what_takes_a_units_place() -> None:
    found = (
        Constant(torch.tensor(0.25)),
        Constant(torch.ones(3)),
        MeanActivation(torch.ones(3)),
        Resample(torch.ones(2, 3)),
    )
    assert [one.in_words() for one in found] == [
        "0.25",
        "given activations",
        "its mean activation",
        "its activation on another example",
    ]


@pytest.mark.parametrize(
    ("replace", "reference", "error", "message"),
    [
        ("median", None, ValueError, '"mean" or "resample", got \'median\''),
        ("mean", None, ValueError, "takes a reference: .* a loader of images.* as loader="),
        ("mean", [], ValueError, "the loader is empty"),
        ("mean", 3, TypeError, "a loader that yields batches, got int"),
        ("mean", [3], TypeError, "got int"),
        ("resample", torch.ones(0, 3), ValueError, "at least one"),
        (0, torch.ones(1, 3, 2, 2), ValueError, "beside a reference, got 0"),
    ],
)
def test_what_can_not_be_put_there_says_what_came(model, replace, reference, error, message):
    with pytest.raises(error, match=message):
        Replacement.ensure(replace, model, CUT, reference)


def test_activations_of_another_shape_are_refused() -> None:
    batch = torch.zeros(4, 3, 2, 2)
    for replacement in (Constant(torch.ones(3)), Resample(torch.ones(2, 3))):
        with pytest.raises(ValueError, match=r"of shape \(3, 2, 2\), .* got \(3,\)"):
            replacement.like(batch)


def test_the_mean_over_prompts_is_over_their_tokens() -> None:
    batches = [torch.rand(n, length, 4, dtype=torch.float64) for n, length in ((2, 3), (1, 5))]
    (found,) = MeanActivation.of_prompts(batches)
    tokens = torch.cat([batch.flatten(0, 1) for batch in batches])
    for length in (3, 5, 7):
        instead = found.like(torch.zeros(1, length, 4, dtype=torch.float64))
        torch.testing.assert_close(instead, tokens.mean(0).expand(length, 4), rtol=0, atol=1e-14)
    assert found.in_words() == "its mean activation over all tokens"


def test_prompts_of_one_length_are_averaged_token_by_token() -> None:
    batch = torch.rand(3, 5, 4, dtype=torch.float64)
    (found,) = MeanActivation.of_prompts([batch[:1], batch[1:]])
    torch.testing.assert_close(found.value, batch.mean(0), rtol=0, atol=1e-14)
    assert found.in_words() == "its mean activation"


def test_means_of_several_sets_are_over_the_same_dimensions() -> None:
    alike, ragged = [torch.rand(2, 3, 4)], [torch.rand(2, 3, 4), torch.rand(1, 5, 4)]
    one, other = MeanActivation.of_prompts(alike, ragged)
    assert one.places == other.places == (0,)


def test_activations_of_several_lengths_cant_be_drawn() -> None:
    with pytest.raises(ValueError, match="of one shape"):
        Resample.of([torch.rand(2, 3, 4), torch.rand(1, 5, 4)])
