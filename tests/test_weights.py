"""The weights that ship with the package are what their run cards say; records what their runs measured."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from gan_course import data, methods, metrics, weights
from gan_course.weights import __main__ as weights_recipes
from gan_course.weights.__main__ import GENERATORS, RECIPES, RECORDS, VARIANTS


def test_every_recipe_ships_its_weights_and_nothing_else_ships():
    assert sorted(RECIPES) == weights.names()


@pytest.mark.parametrize("name", weights.names())
def test_the_card_tells_how_they_were_made(name):
    card = weights.card(name)
    assert {"method", "config", "data", "settings", "versions", "machine", "seconds"} <= card.keys()
    assert len(card["data"]["sha256"]) == 64
    assert "threads" in card["machine"] or "device" in card["machine"]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"no weights called 'stylegan'.*cgan-mnist"):
        weights.load("stylegan")


def test_the_digits_were_trained_on_the_embedded_digits_in_five_minutes():
    card = weights.card("cgan-mnist")
    assert card["data"]["sha256"] == data.load("mnist", image_size=32).digest
    assert card["seconds"] <= 300


def test_the_digits_asked_for_are_the_digits_drawn():
    method, card = weights.load("cgan-mnist")
    classifier, _ = weights.load("digit-classifier")
    labels = torch.arange(1000) % 10
    draws = []
    for seed in range(1, 11):  # one draw alone may be lucky
        samples = method.sample(1000, labels=labels, rng=torch.Generator().manual_seed(seed))
        draws.append(metrics.accuracy_by_class(metrics.predict(classifier, samples), labels, 10))
    by_class = torch.stack(draws).mean(dim=0)
    assert by_class.mean() >= 0.99
    assert by_class.min() >= 0.96
    assert by_class.mean().item() == pytest.approx(card["metrics"]["read as asked"], abs=0.001)


def test_the_digits_vary_and_are_not_copies():
    method, _ = weights.load("cgan-mnist")
    digits = data.load("mnist", image_size=32)
    training = digits.batch(torch.arange(len(digits)))["image"]
    held_out = data.load("mnist-test", image_size=32).batch(torch.arange(1000))["image"]
    samples = method.sample(500, rng=torch.Generator().manual_seed(2))
    _, to_training = metrics.nearest(samples, training)
    _, held_out_to_training = metrics.nearest(held_out, training)
    # a memorising generator sits on its training images; real new digits lie about this far away
    assert to_training.median() > 0.6 * held_out_to_training.median()
    sevens = method.sample(50, labels=torch.full((50,), 7), rng=torch.Generator().manual_seed(3))
    real_sevens = training[digits.tensors["label"] == 7][:50]
    assert torch.pdist(sevens.flatten(1)).mean() > 0.6 * torch.pdist(real_sevens.flatten(1)).mean()


def test_faces_are_colour_images_of_64_pixels():
    method, _ = weights.load("dcgan-faces")
    samples = method.sample(8, rng=torch.Generator().manual_seed(0))
    assert samples.shape == (8, 3, 64, 64)
    assert samples.abs().max() <= 1
    assert samples.std(dim=0).mean() > 0.1  # eight faces, not one


def test_moments_of_training():
    for name in GENERATORS:
        moments = weights.progress(name)
        steps = [step for step, _ in moments]
        assert 8 <= len(steps) <= 10
        assert steps == sorted(set(steps))
        assert steps[0] == 0
        assert steps[-1] == weights.card(name)["step"]
        assert len({picture.size for _, picture in moments}) == 1
        first, last = (np.asarray(moments[k][1], dtype=float) for k in (0, -1))
        assert np.abs(first - last).mean() > 10  # something was learnt on the way
        assert weights.log(name)["step"][-1] == steps[-1]
    assert weights.progress("digit-classifier") == []
    assert weights.log("digit-classifier") == {}


def test_faces_have_the_tags_that_were_asked_for():
    method, card = weights.load("acgan-faces")
    assert len(weights.progress("acgan-faces")) == 10
    judge, _ = weights.load("avataaars-classifier")
    rng = torch.Generator().manual_seed(5)
    asked = method.draw_tags(1000, rng)
    right = metrics.predict(judge, method.sample(1000, labels=asked, rng=rng)) == asked
    hair, eyes, skin, glasses = right.double().mean(dim=0).tolist()
    assert min(hair, skin, glasses) >= 0.9
    assert eyes >= 0.8
    for kind, share in zip(("hair", "eyes", "skin", "glasses"), (hair, eyes, skin, glasses), strict=True):
        assert share == pytest.approx(card["metrics"]["tags as asked"][kind], abs=0.03)


HELD_OUT = {"image_size": 64, "count": 200, "seed": 1}


def test_faces_from_outlines_have_the_colours_of_the_outlines():
    method, _ = weights.load("pix2pix-faces")
    faces = data.load("faces", input="outline", **HELD_OUT)
    batch = faces.batch(range(200))
    made = method.translate(batch["input"])
    assert (made - batch["image"]).abs().mean() < 0.08
    judge, _ = weights.load("face-classifier")
    right = metrics.predict(judge, made) == metrics.tag_numbers(batch["tags"])
    assert right.double().mean(dim=0).min() >= 0.95
    score = metrics.segmentation_score(metrics.segment(made), batch["label_map"], 13)
    assert score.class_iou[:3].min() >= 0.9  # background, skin, hair


@pytest.mark.parametrize("name", ["spade-faces", "clade-faces"])
def test_faces_from_label_maps_show_what_the_maps_say(name):
    method, card = weights.load(name)
    faces = data.load("faces", split_colours=True, **HELD_OUT).batch(range(200))
    plain = data.load("faces", **HELD_OUT).batch(range(200))["label_map"]
    made, real = (
        metrics.segmentation_score(metrics.segment(images), plain, 13).mean_iou
        for images in (method.translate(faces["label_map"]), faces["image"])
    )
    assert made >= 0.85 * real
    assert made / real == pytest.approx(card["metrics"]["share of the true faces' mean IoU"], abs=0.03)


UNPAIRED = ["cyclegan", "munit", "stargan", "ugatit", "unit"]


@pytest.mark.parametrize("name", UNPAIRED)
def test_every_unpaired_translator_had_the_same_faces_and_as_many_moves(name):
    card, reference = weights.card(f"{name}-faces"), weights.card("ugatit-faces")
    settings = card["settings"]
    moves = settings["steps"] // card["config"].get("critic_steps", 1)
    assert moves == reference["settings"]["steps"]
    # a batch holds two faces of each style, or four of whichever
    assert settings["batch_size"] == (4 if name == "stargan" else 2)
    assert card["config"]["image_size"] == 64


@pytest.mark.parametrize("name", ["cyclegan", "ugatit"])
def test_faces_of_either_style_are_redrawn_in_the_other_and_stay_who_they_were(name):
    method, card = weights.load(f"{name}-faces")
    faces = data.load("faces", domains=weights_recipes.STYLES, image_size=64, count=200, seed=1)
    people = data.joined(faces).batch(torch.arange(400))
    classifier, _ = weights.load("style-classifier")
    for source, direction in enumerate(("AtoB", "BtoA")):
        rows = slice(200 * source, 200 * (source + 1))
        made = method.translate(people["image"][rows], direction)
        read = metrics.predict(classifier, weights_recipes.greyed(made))
        assert (read == 1 - source).double().mean() >= 0.95
        kept = weights_recipes.kept(made, people["label_map"][rows])
        assert kept["IoU of the hair"] > kept["IoU of the hair, other faces"] + 0.03
        assert kept["IoU of the head"] > kept["IoU of the head, other faces"]
        assert kept["IoU of the hair"] == pytest.approx(
            card["metrics"][direction]["IoU of the hair"], abs=0.04
        )


def test_the_judge_of_styles_sees_no_colour():
    images = torch.rand(2, 3, 4, 4)
    assert torch.allclose(weights_recipes.greyed(images), images.mean(1, keepdim=True))
    assert weights.card("style-classifier")["metrics"]["accuracy"] >= 0.99


# ---- records ---------------------------------------------------------------------------------------

PEOPLE = 16
MEAN_KID = "KID-faces x 100 (10 subsets of 500), mean"


@pytest.fixture(scope="module")
def tiny_series(tmp_path_factory):
    """A record like the shipped one, of two variants, two steps and few faces, and how to make it again."""
    out = tmp_path_factory.mktemp("series")
    recipe = GENERATORS["ugatit-faces"]
    small = dataclasses.replace(recipe, data_options=recipe.data_options | {"count": PEOPLE})

    def make():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weights_recipes, "SAMPLES", PEOPLE)
            patch.setattr(weights_recipes, "VARIANT_STEPS", 2)
            two = {name: VARIANTS[name] for name in ("AdaLIN, CAM", "AdaLIN, no CAM")}
            patch.setattr(weights_recipes, "VARIANTS", two)
            patch.setitem(GENERATORS, "ugatit-faces", small)
            weights_recipes.variants_of_ugatit(out, None)
        return {path.name: path.read_bytes() for path in out.glob("ugatit-variants.*")}

    make()
    return out, make


@pytest.fixture
def shipped_series(tiny_series, tmp_path, monkeypatch):
    """The tiny record, as if it shipped beside the weights of the digits."""
    for path in (*tiny_series[0].glob("ugatit-variants.*"), *weights.FOLDER.glob("cgan-mnist.*")):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)


def test_a_record_is_no_weights_and_weights_are_no_record(shipped_series):
    assert weights.records() == ["ugatit-variants"]
    assert weights.names() == ["cgan-mnist"]
    with pytest.raises(ValueError, match=r"no record called 'cgan-mnist'.*there are: ugatit-variants$"):
        weights.record("cgan-mnist")
    with pytest.raises(ValueError, match=r"no record called 'stylegan'.*ugatit-variants"):
        weights.record_rows("stylegan")
    with pytest.raises(ValueError, match=r"no weights called 'ugatit-variants'.*cgan-mnist"):
        weights.card("ugatit-variants")


def test_where_no_record_ships_the_error_says_none(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert weights.records() == []
    with pytest.raises(ValueError, match="there are: none"):
        weights.record("ugatit-variants")


def test_a_record_holds_an_interval_for_every_distance_and_every_run(shipped_series):
    record = weights.record("ugatit-variants")
    assert record["settings"]["steps"] == 2
    assert record["metrics"].keys() == {"AdaLIN, CAM", "AdaLIN, no CAM"}
    for name, runs in record["metrics"].items():
        assert [run["seed"] for run in runs] == list(weights_recipes.VARIANT_SEEDS)
        for run in runs:
            for direction in ("AtoB", "BtoA"):
                assert run[direction]["KID-faces x 100, standard deviation"] > 0
                assert {MEAN_KID, "KID-faces x 100 of the faces before"} <= run[direction].keys()
            assert 0 <= run["way back"] <= 2
            assert 0 <= run["identity"] <= 2
            assert ("classifiers right" in run) == ("no CAM" not in name)  # without attention, no classifiers


def test_rows_of_a_record_are_the_same_faces_by_every_variant(shipped_series):
    rows = weights.record_rows("ugatit-variants")
    assert list(rows) == weights.record("ugatit-variants")["rows"]
    assert set(rows) == {"image"} | {
        f"{name}{end}" for name in ("AdaLIN, CAM", "AdaLIN, no CAM") for end in ("", ", and back")
    }
    for images in rows.values():
        assert images.shape == (weights_recipes.SHOWN, 3, 32, 32)
        assert images.abs().max() <= 1
    held_out = data.load("faces", style="adventurer", image_size=32, count=PEOPLE, seed=1)
    faces = held_out.batch(torch.arange(weights_recipes.SHOWN))["image"]
    assert torch.allclose(rows["image"], faces, atol=1e-6)
    assert (rows["AdaLIN, CAM"] - rows["image"]).abs().mean() > 0.1  # other pictures, not the faces again


def test_a_series_that_is_done_is_not_trained_again(tiny_series, monkeypatch):
    out, make = tiny_series
    before = {path.name: path.read_bytes() for path in out.glob("ugatit-variants.*")}
    methods_moved = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *a, **k: methods_moved.append(1) or step(self, *a, **k)
    )
    assert make() == before
    assert not methods_moved


def test_every_variant_differs_from_the_model_in_one_thing():
    base = GENERATORS["ugatit-faces"].config | weights_recipes.VARIANT_SIZE
    plain = dataclasses.asdict(methods.config_class("ugatit")(**base))
    variants = dict(VARIANTS)
    assert variants.pop("AdaLIN, CAM") == {}
    for changes in variants.values():
        changed = dataclasses.asdict(methods.config_class("ugatit")(**base | changes))
        assert {name for name in plain if plain[name] != changed[name]} == set(changes)
        assert len(changes) == 1
    values = [tuple(changes.items()) for changes in variants.values()]
    assert len(set(values)) == len(values)


def test_the_size_of_a_generator_counts_what_a_variant_has():
    base = GENERATORS["ugatit-faces"].config | weights_recipes.VARIANT_SIZE
    sizes = {name: weights_recipes.generator_size(base | changes) for name, changes in VARIANTS.items()}
    shipped, _ = weights.load("ugatit-faces")  # the same generator: a light one has no size of image
    full = sum(p.numel() for p in shipped.generator_ab.parameters())
    assert sizes["AdaLIN, CAM"] == full
    assert all(sizes[name] == full for name in VARIANTS if name.startswith("no "))
    maps = shipped.config.maps
    attention = 2 * maps + 2 * maps * maps + maps  # two classifiers, the mixing and its bias
    assert sizes["AdaLIN, no CAM"] == sizes["AdaLIN, CAM only in D"] == full - attention
    assert sizes["AdaLIN, CAM only in G"] == full
    assert sizes["IN, CAM"] == sizes["LN, CAM"] == sizes["GN, CAM"] < sizes["AdaIN, CAM"] < full


class Known:
    """A translator whose errors are known, between black faces, 0, and white ones, 1."""

    def __init__(self, attention):
        self.config = methods.config_class("ugatit")(attention=attention)

    def translate(self, images, direction):
        return 0.5 + 0.5 * images if direction == "AtoB" else 0.125 + 0.125 * images

    def generator_ab(self, images):  # says black: from A, its source
        return methods.ugatit.Translated(images, 0.5 - images.mean(dim=(2, 3))[:, :2], None)

    def generator_ba(self, images):  # takes all for its source, B
        return methods.ugatit.Translated(images, torch.ones(len(images), 2), None)


@pytest.mark.parametrize("attention", ["both", "discriminators"])
def test_errors_of_a_translator_whose_errors_are_known(attention, monkeypatch):
    monkeypatch.setattr(weights_recipes, "SAMPLES", PEOPLE)
    method, black, white = Known(attention), torch.zeros(PEOPLE, 3, 4, 4), torch.ones(PEOPLE, 3, 4, 4)
    made = {"AtoB": method.translate(black, "AtoB"), "BtoA": method.translate(white, "BtoA")}
    found = weights_recipes.translator_errors(method, {"image": torch.cat([black, white])}, made)
    # 0 goes to 1/2 and comes back as 3/16; 1 goes to 1/4 and comes back as 5/8
    assert found["way back"] == pytest.approx((3 / 16 + 3 / 8) / 2, abs=1e-4)
    # black, already in A, becomes 1/8; white, already in B, stays
    assert found["identity"] == pytest.approx((1 / 8 + 0) / 2, abs=1e-4)
    assert found.get("classifiers right") == (0.75 if attention == "both" else None)


def test_every_record_ships_and_nothing_else_does():
    assert weights.records() == sorted(RECORDS)


def test_the_shipped_variants_are_those_of_the_recipe():
    record, recipe = weights.record("ugatit-variants"), GENERATORS["ugatit-faces"]
    assert list(record["metrics"]) == list(VARIANTS)
    for runs in record["metrics"].values():
        assert [run["seed"] for run in runs] == list(weights_recipes.VARIANT_SEEDS)
    assert record["config"] == recipe.config | weights_recipes.VARIANT_SIZE
    changed = {"steps": weights_recipes.VARIANT_STEPS, "sample_every": weights_recipes.VARIANT_STEPS}
    assert (recipe.settings | changed).items() <= record["settings"].items()
    assert record["data"]["count"] == recipe.data_options["count"]
    sizes = {n: weights_recipes.generator_size(record["config"] | c) for n, c in VARIANTS.items()}
    assert record["parameters of a generator"] == sizes


def test_the_shipped_rows_show_held_out_faces_by_every_variant():
    rows = weights.record_rows("ugatit-variants")
    assert set(rows) == {"image"} | {f"{name}{end}" for name in VARIANTS for end in ("", ", and back")}
    held_out = data.load("faces", style="adventurer", image_size=32, count=weights_recipes.SAMPLES, seed=1)
    faces = held_out.batch(torch.arange(weights_recipes.SHOWN))["image"]
    assert torch.allclose(rows["image"], faces, atol=1e-6)
    assert {images.shape for images in rows.values()} == {(weights_recipes.SHOWN, 3, 32, 32)}
    assert rows["AdaLIN, CAM"].std(dim=0).mean() > 0.05  # eight faces, not one


def test_the_whole_model_of_the_record_translates():
    (whole,) = weights.record("ugatit-variants")["metrics"]["AdaLIN, CAM"]
    for direction in ("AtoB", "BtoA"):
        assert whole[direction][MEAN_KID] < whole[direction]["KID-faces x 100 of the faces before"]
