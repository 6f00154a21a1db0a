import pytest
import torch
from scipy.ndimage import gaussian_filter

from captum_influence.visualization.blur import gaussian_blur


def test_blur_keeps_constants_and_spreads_a_point_evenly() -> None:
    torch.testing.assert_close(gaussian_blur(torch.full((9, 5), 2.0), 1.5), torch.full((9, 5), 2.0))
    point = torch.zeros(21, 21, dtype=torch.float64)
    point[10, 10] = 1.0
    spread = gaussian_blur(point, 2.0)
    torch.testing.assert_close(spread, spread.T)
    steps = torch.arange(-10, 11, dtype=torch.float64)
    assert float(spread.sum()) == pytest.approx(1.0)
    assert float((spread.sum(0) * steps**2).sum()) == pytest.approx(4.0, rel=0.05)
    assert gaussian_blur(point, 0.0) is point


@pytest.mark.parametrize(
    ("outside", "mode"), [("edge", "nearest"), ("mirror", "mirror"), ("zero", "constant")]
)
def test_it_is_the_blur_of_scipy(outside: str, mode: str) -> None:
    pictures = torch.rand(2, 3, 24, 31, dtype=torch.float64)
    for picture in pictures.flatten(0, 1):
        expected = gaussian_filter(picture.numpy(), 2.0, mode=mode, truncate=3.0)
        torch.testing.assert_close(gaussian_blur(picture, 2.0, outside), torch.from_numpy(expected))
    rows = torch.stack([gaussian_blur(p, 2.0, outside) for p in pictures.flatten(0, 1)])
    torch.testing.assert_close(gaussian_blur(pictures, 2.0, outside).flatten(0, 1), rows)
