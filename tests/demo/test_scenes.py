from dataclasses import replace

import numpy as np
import pytest
import torch

from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import SceneDataset, Shortcut, make_scene, render
from captum_influence.demo.surfaces import BACKGROUNDS, TEXTURES

TWINS = [("coupe", "convertible"), ("sailboat", "motorboat")]


@pytest.mark.parametrize("name", CLASSES)
def test_a_scene_is_a_picture_with_its_label_and_masks(name):
    scene = make_scene(name, seed=1)
    assert scene.image.shape == (3, 64, 64)
    assert scene.image.dtype == torch.float32
    assert 0 <= float(scene.image.min()) < float(scene.image.max()) <= 1
    assert CLASSES[scene.label] == scene.class_name == name
    for mask in scene.masks.values():
        assert mask.shape == (64, 64)
        assert mask.dtype == torch.bool


@pytest.mark.parametrize("name", CLASSES)
def test_object_and_background_are_complements_and_the_object_lies_inside(name):
    for seed in range(5):
        masks = make_scene(name, seed=seed).masks
        assert torch.equal(masks["background"], ~masks["object"])
        assert not masks["shortcut"].any()
        border = torch.ones(64, 64, dtype=torch.bool)
        border[1:-1, 1:-1] = False
        assert not (masks["object"] & border).any()
        assert masks["object"].sum() > 300


@pytest.mark.parametrize(("having", "lacking"), TWINS)
def test_twins_differ_in_the_part_alone(having, lacking):
    for seed in range(8):
        scene = make_scene(having, seed=seed)
        twin = scene.twin()
        part = scene.masks["part"]
        changed = (scene.image != twin.image).any(0)
        assert twin.class_name == lacking
        assert torch.equal(part, twin.masks["part"])
        assert not (changed & ~part).any()
        assert changed.sum() > 0.7 * part.sum()
        assert (scene.masks["object"] & part).sum() == part.sum()
        assert torch.equal(scene.masks["object"], twin.masks["object"] | part)
        assert torch.equal(twin.twin().image, scene.image)


def test_under_the_missing_roof_is_background():
    scene = make_scene("convertible", seed=2)
    empty = render("convertible", replace(scene.layout, centre=(-200.0, -200.0)))
    roof = scene.masks["part"] & scene.masks["background"]
    assert roof.sum() > 50
    assert torch.equal(scene.image[:, roof], empty.image[:, roof])


def test_without_a_twin_the_part_is_the_whole_object():
    masks = make_scene("house", seed=0).masks
    assert torch.equal(masks["part"], masks["object"])


def test_everything_but_the_class_is_shared():
    layouts = {make_scene(name, seed=5).layout for name in CLASSES}
    assert len(layouts) == 1
    scene = make_scene("tree", seed=5)
    assert torch.equal(scene.with_class("fish").image, make_scene("fish", seed=5).image)


def test_fixed_attributes_are_kept_and_leave_the_others_alone():
    free = make_scene("coupe", seed=4)
    fixed = make_scene("coupe", seed=4, texture="dots", background="bricks", colour=(1.0, 0.0, 0.0))
    assert (fixed.texture, fixed.background) == ("dots", "bricks")
    assert fixed.layout.colour == (1.0, 0.0, 0.0)
    assert fixed.layout.centre == free.layout.centre
    assert torch.equal(fixed.masks["object"], free.masks["object"])


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_texture_shows_on_every_background(texture, background):
    scene = make_scene("balloon", seed=6, texture=texture, background=background)
    other = make_scene("balloon", seed=6, texture="plain", background="gradient")
    inside = scene.masks["object"]
    assert torch.equal(inside, other.masks["object"])
    if texture != "plain":
        assert not torch.equal(scene.image[:, inside], other.image[:, inside])
    if background != "gradient":
        assert (scene.image != other.image).any(0)[~inside].float().mean() > 0.9


def test_item_depends_on_seed_and_index_alone():
    short, long = SceneDataset(10, seed=3), SceneDataset(1000, seed=3)
    long.scene(500)
    assert torch.equal(short[7][0], long[7][0])
    assert torch.equal(long[7][0], long[7][0])
    assert not torch.equal(long[7][0], long[15][0])
    assert not torch.equal(long[7][0], SceneDataset(10, seed=4)[7][0])
    assert torch.equal(short[-1][0], short[9][0])


def test_data_set_takes_turns_and_stacks():
    scenes = SceneDataset(6, seed=0, classes=["convertible", "fish"])
    images, labels = scenes.stacked()
    assert images.shape == (6, 3, 64, 64)
    assert labels.tolist() == [1, 7] * 3
    loader = torch.utils.data.DataLoader(scenes, batch_size=4)
    assert torch.equal(torch.cat([batch for batch, _ in loader]), images)


def test_attributes_vary_independently_of_the_class():
    layouts = [SceneDataset(400, seed=9).scene(i).layout for i in range(0, 400, 8)]
    assert {layout.texture for layout in layouts} == set(TEXTURES)
    assert {layout.background for layout in layouts} == set(BACKGROUNDS)
    assert {layout.mirrored for layout in layouts} == {True, False}


def test_global_random_state_is_left_alone():
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    SceneDataset(8, shortcut=Shortcut("fish", 0.5)).stacked()
    assert torch.equal(before_torch, torch.get_rng_state())
    assert (before_numpy == np.random.get_state()[1]).all()  # noqa: NPY002


def test_shortcut_falls_on_its_class_with_its_probability():
    planted = Shortcut("tree", probability=0.8, elsewhere=0.1)
    scenes = SceneDataset(200, seed=1, classes=["tree", "house"], shortcut=planted)
    marked = torch.tensor([scenes.scene(i).layout.shortcut for i in range(200)]).float()
    assert abs(float(marked[0::2].mean()) - 0.8) < 0.1
    assert abs(float(marked[1::2].mean()) - 0.1) < 0.08


def test_shortcut_changes_its_own_pixels_alone():
    plain = make_scene("tree", seed=3)
    fenced = make_scene("tree", seed=3, shortcut=Shortcut("tree"))
    mark = fenced.masks["shortcut"]
    changed = (plain.image != fenced.image).any(0)
    assert mark.any()
    assert not (changed & ~mark).any()
    assert not make_scene("fish", seed=3, shortcut=Shortcut("tree")).masks["shortcut"].any()


def test_edges_are_anti_aliased():
    scene = make_scene(
        "balloon", seed=0, texture="plain", background="gradient", colour=(1.0, 0, 0)
    )
    assert scene.image[0].unique().numel() > 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_scene("truck"), "expected class_name to be one of .*coupe.*got 'truck'"),
        (lambda: make_scene("coupe", texture="fur"), "expected texture to be one of .*got 'fur'"),
        (lambda: make_scene("coupe", background="x"), "expected background to be one of"),
        (lambda: make_scene("coupe", colour=(255, 0, 0)), "three numbers in .0, 1.*divide by 255"),
        (lambda: make_scene("house").twin(), "expected a class that has a twin.*with_class"),
        (lambda: SceneDataset(0), "expected a positive length; got 0"),
        (lambda: SceneDataset(3, classes=[]), "expected a sequence of class names"),
        (lambda: SceneDataset(3, classes="coupe"), "expected a sequence of class names"),
        (lambda: SceneDataset(3, classes=["car"]), "expected class to be one of"),
        (lambda: Shortcut("coupe", 1.5), "expected probability in .0, 1.; got 1.5"),
        (lambda: Shortcut("car"), "expected class_name to be one of"),
    ],
)
def test_errors_say_what_was_expected_what_came_and_the_cure(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_index_out_of_range_ends_iteration():
    with pytest.raises(IndexError, match="expected an index below 2; got 2"):
        SceneDataset(2)[2]
    assert len(list(SceneDataset(2))) == 2
