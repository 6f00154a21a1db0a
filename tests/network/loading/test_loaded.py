"""What is known of a network comes with it."""

from pathlib import Path

from captum_influence.network.loading.by_name import load_model


def test_a_function_may_hand_over_preprocessing_and_names(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "from captum_influence.network.loading import LoadedModel\n"
        "def build():\n"
        "    return LoadedModel(torch.nn.Identity(), None, ('a', 'b'))\n"
    )
    assert load_model(f"{tmp_path / 'own.py'}:build").class_names == ("a", "b")
