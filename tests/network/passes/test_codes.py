"""A cut in a basis, beside the network rewritten by hand, in float64."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    Cut,
    Dictionary,
    DistributionalInfluence,
    LinearPath,
    Noise,
    Point,
)
from captum_influence.network import intervene
from captum_influence.network.reading import activations
from captum_influence.network.slices import Slice
from captum_influence.network.substitution import reruns
from captum_influence.units import Constant

EXACT = {"rtol": 0, "atol": 1e-12}


class Autoencoder(nn.Module):
    """A sparse autoencoder of (examples, channels, ...), seven latents: it rebuilds badly."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 7), nn.Linear(7, 4)

    def encode(self, z: Tensor) -> Tensor:
        return self.up(z.movedim(1, -1)).relu().movedim(-1, 1)

    def decode(self, codes: Tensor) -> Tensor:
        return self.down(codes.movedim(1, -1)).movedim(-1, 1)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Softplus(),
        nn.Conv2d(4, 5, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(5 * 16, 3),
    )
    return nn.Sequential(*layers).double().eval()


@pytest.fixture
def autoencoder() -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder().double()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def cut(autoencoder: Autoencoder) -> Cut:
    return Cut("1", basis=Dictionary(autoencoder.encode, autoencoder.decode))


def by_hand(network: nn.Module, autoencoder: Autoencoder, z: Tensor, codes: Tensor) -> Tensor:
    """Return scores for other codes at layer 1, the error term kept."""
    error = (z - autoencoder.decode(autoencoder.encode(z))).detach()
    return network[2:](autoencoder.decode(codes) + error)


def test_influence_is_the_derivative_by_the_codes(network, autoencoder, cut, images) -> None:
    z = network[:2](images).detach()
    codes = autoencoder.encode(z).detach().requires_grad_()
    score = by_hand(network, autoencoder, z, codes)[:, 2].sum()
    (expected,) = torch.autograd.grad(score, codes)
    found = DistributionalInfluence(network, cut, distribution=Point()).attribute(images, target=2)
    torch.testing.assert_close(found, expected, **EXACT)


def test_of_a_linear_decoder_influence_is_its_transpose_times_that_of_the_channels(
    network, autoencoder, cut, images
) -> None:
    channels, codes = (
        DistributionalInfluence(network, at, distribution=Noise(0.1, n=4, seed=3)).attribute(
            images, target=1
        )
        for at in ("1", cut)
    )
    expected = torch.einsum("bchw,ck->bkhw", channels, autoencoder.down.weight.detach())
    torch.testing.assert_close(codes, expected, **EXACT)


@pytest.mark.parametrize("multiply", [False, True])
def test_the_identity_is_the_plain_cut(network, images, multiply) -> None:
    same = Cut("1", basis=Dictionary(lambda z: z, lambda codes: codes))
    path = LinearPath(0.0, 7)
    plain, coded = (
        DistributionalInfluence(
            network, at, distribution=path, multiply_by_inputs=multiply
        ).attribute(images, target=0)
        for at in ("1", same)
    )
    torch.testing.assert_close(coded, plain, **EXACT)


def test_reading_leaves_the_network_as_it_is_to_the_bit(network, cut, images) -> None:
    own = network(images)
    with intervene(network, cut, lambda codes: codes.clone()):
        assert torch.equal(network(images), own)
    slice_ = Slice(network, [cut])
    with slice_.opened():
        rows = torch.arange(len(images))
        assert torch.equal(slice_.trace((images,), (), (images,), rows).output, own)


def test_codes_are_what_passes(network, autoencoder, cut, images) -> None:
    found = activations(network, images, cut)
    assert torch.equal(found, autoencoder.encode(network[:2](images)))


def test_removal_is_the_hook_by_hand(network, autoencoder, cut, images) -> None:
    def without(codes: Tensor) -> Tensor:
        return codes * (torch.arange(7) != 3)[:, None, None]

    z = network[:2](images)
    expected = by_hand(network, autoencoder, z, without(autoencoder.encode(z)))
    with intervene(network, cut, without):
        torch.testing.assert_close(network(images), expected, **EXACT)
    with reruns(network, cut, images) as runs:
        last = torch.tensor([4, 4, 0])  # replayed: each row with the error term of its example
        found = runs.answer(without(runs.activations[last]), last)
    torch.testing.assert_close(found, expected[last], **EXACT)


def test_a_contribution_estimates_its_removal(network, autoencoder, cut, images) -> None:
    """Scaled down, removal is the finite difference of q, and their ratio goes to one."""
    codes = activations(network, images, cut)
    measure = DistributionalInfluence(
        network,
        cut,
        distribution=Point(),
        quantity=ClassScore(1),
        multiply_by_inputs=True,
        displacement=Constant(torch.tensor(0.2)),
    )
    estimate = measure.attribute(images)[:, 3].sum(dim=(1, 2)) * 1e-6
    step = torch.zeros_like(codes)
    step[:, 3] = (codes[:, 3] - 0.2) * 1e-6
    whole = network(images)[:, 1]
    with intervene(network, cut, lambda codes: codes - step):
        effect = whole - network(images)[:, 1]
    torch.testing.assert_close(effect, estimate, rtol=1e-4, atol=1e-14)


def test_along_a_path_of_codes_contributions_add_up(network, cut, images) -> None:
    """The error term stays the explained instance's all the way."""
    measure = DistributionalInfluence(
        network,
        cut,
        sample_at=cut,
        distribution=LinearPath(torch.zeros(5, 7, 6, 6).double(), 50, "gausslegendre"),
        quantity=ClassScore(0),
        multiply_by_inputs=True,
    )
    found, delta = measure.attribute(images, return_convergence_delta=True)
    whole = network(images)[:, 0]
    with intervene(network, cut, torch.zeros_like):
        change = whole - network(images)[:, 0]
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), change, rtol=0, atol=1e-9)
    assert float(delta.abs().max()) < 1e-9


def test_layers_before_a_basis_have_the_network_s_own_gradient(network, cut, images) -> None:
    before, _, behind = DistributionalInfluence(
        network, ["0", cut, "2"], distribution=Point()
    ).attribute(images, target=1)
    alone = DistributionalInfluence(network, ["0", "2"], distribution=Point())
    expected = alone.attribute(images, target=1)
    torch.testing.assert_close(before, expected[0], **EXACT)
    torch.testing.assert_close(behind, expected[1], **EXACT)


def test_results_can_be_differentiated(network, cut, images) -> None:
    """The slope of an influence along the input, by finite differences."""
    images = images[:1].requires_grad_()
    measure = DistributionalInfluence(network, cut, distribution=Point())
    keep = {"create_graph": True}
    total = measure.attribute(images, target=0, grad_kwargs=keep)[:, 2].sum()
    (slope,) = torch.autograd.grad(total, images)
    step = torch.zeros_like(images)
    step[0, 1, 2, 3] = 1e-6
    ends = [
        measure.attribute(images.detach() + sign * step, target=0)[:, 2].sum() for sign in (1, -1)
    ]
    difference = (ends[0] - ends[1]) / 2e-6
    torch.testing.assert_close(slope[0, 1, 2, 3], difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (Dictionary(lambda z: z.flatten(1), lambda c: c), "axis=-1"),
        (Dictionary(lambda z: z[:, :2], lambda c: c), "expected decode to return activations"),
        (Dictionary(lambda z: 3, lambda c: c), "got int"),
    ],
)
def test_functions_that_are_no_codes_are_refused(network, images, basis, said) -> None:
    with (
        pytest.raises(ValueError, match=said),
        intervene(network, Cut("1", basis=basis), lambda codes: codes + 1),
    ):
        network(images)


def test_several_tensors_are_refused(images) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    basis = Dictionary(lambda z: z, lambda c: c)
    network = nn.Sequential(Two())
    with pytest.raises(TypeError, match="select="):
        activations(network, images, Cut("0", basis=basis))
    assert torch.equal(activations(network, images, Cut("0", select=1, basis=basis)), images)
