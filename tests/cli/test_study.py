"""What a bias study is about, from the shell's words."""

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence.cli import study
from captum_influence.cli.inputs import Network
from captum_influence.cli.options import NetworkOptions, PreprocessingOptions
from captum_influence.cli.study import Study
from captum_influence.cli.syntax.data_sets import StudyOptions

SIZE = PreprocessingOptions(size=12)
OWN = NetworkOptions(model="nets.py:build", labels="names.json")


def _pictures(part: str, *classes: str, count: int = 2) -> None:
    for name in classes:
        Path(part, name).mkdir(parents=True)
        for i in range(count):
            Image.effect_noise((16, 12), 60 + 20 * i).convert("RGB").save(
                Path(part, name, f"{i}.png")
            )


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Study:
    """A small study of the demo."""
    monkeypatch.setattr(study, "_DEMO_TRAIN", 40)
    monkeypatch.setattr(study, "_DEMO_TEST", 16)
    monkeypatch.setattr(study, "_DEMO_EPOCHS", 1)
    network = Network.of(NetworkOptions(), PreprocessingOptions())
    return Study.of(network, StudyOptions(), seed=0)


def test_the_demo_plants_a_disturbance_in_one_class(demo: Study) -> None:
    labels = [int(demo.train[i][1]) for i in range(40)]
    assert demo.planted is not None
    assert {labels[i] for i in demo.planted} == {demo.answer}
    assert int(demo.labels.eq(demo.answer or 0).sum()) == 0  # that class isn't asked about
    plain = Study.of(
        demo.network, dataclasses.replace(StudyOptions(), disturb=("style-channels",)), 0
    )
    pairs = zip(demo.train, plain.train, strict=True)
    differ = tuple(i for i, (a, b) in enumerate(pairs) if not torch.equal(a[0], b[0]))
    assert differ == demo.planted == plain.planted


def test_groups_hold_the_same_examples(demo: Study) -> None:
    groups = demo.groups(["background-white"], seed=0)
    assert list(groups) == ["original", "background-white"]
    assert torch.equal(groups["original"][1], groups["background-white"][1])
    assert demo.masks is not None
    changed = (groups["original"][0] != groups["background-white"][0]).any(1)
    assert not bool((changed & (demo.masks > 0.5)).any())  # objects stay


def test_folders_are_classes_by_name(own: list[str]) -> None:
    _pictures("train", "crane", "convertible", "sports_car")
    _pictures("test", "crane", "convertible", count=3)
    options = StudyOptions(train="train", test="test", test_pictures=4, answer="crane")
    found = Study.of(Network.of(OWN, SIZE), options, seed=0)
    assert found.labels.tolist() == [1, 2, 1, 2]  # classes take turns
    assert found.answer == 2
    assert found.planted is None
    assert found.pictures.shape == (4, 3, 12, 12)
    assert sorted({int(label) for _, label in found.train}) == [0, 1, 2]
    with pytest.raises(ValueError, match="--masks FOLDER beside --disturb background-white"):
        found.groups(["background-white"], seed=0)


def test_a_class_that_training_does_not_have(own: list[str]) -> None:
    _pictures("train", "crane", "convertible", "sports_car")
    _pictures("test", "lorry")
    with pytest.raises(ValueError, match="lorry"):
        Study.of(Network.of(OWN, SIZE), StudyOptions(train="train", test="test"), seed=0)
