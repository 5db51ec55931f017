"""Scoring generators: features by name, draws, judges, and the command that puts it all into the run card."""

import json
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3

from gan_course import cli, data, metrics, training
from gan_course.data import mnist
from gan_course.metrics import evaluation, extractors

NAMES = ["FID-digits", "KID-digits", "IS-digits", "precision-digits", "recall-digits", "density-digits",
         "coverage-digits", "read as asked"]  # fmt: skip
SMALL = ["--steps", "2", "--batch-size", "8", "--ngf", "4", "--ndf", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def digits():
    return metrics.features("digits")


@pytest.fixture(scope="module")
def faces():
    return metrics.features("faces")


@pytest.fixture(scope="module")
def held_out():
    return data.load("mnist-test", image_size=32)


@pytest.fixture(scope="module")
def drawn_faces():
    return data.load("faces", image_size=64, count=300, seed=2)


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A conditional run of two steps on digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert run("train", "cgan", "--data", "mnist", "--image-size", 16, "--out", folder, *SMALL) == 0
    return folder


@pytest.fixture(scope="module")
def photographs_run(tmp_path_factory):
    """An unconditional run of two steps on a folder of 16 noise pictures, and the folder."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    for index in range(16):
        noise = torch.randint(256, (16, 16, 3), generator=torch.Generator().manual_seed(index))
        Image.fromarray(noise.byte().numpy()).save(folder / f"{index}.png")
    out = folder.parent / f"{folder.name}-run"
    assert run("train", "dcgan", "--data", folder, "--image-size", 16, "--out", out, *SMALL) == 0
    return out, folder


# ---- features ------------------------------------------------------------------------------------


def test_features_of_digits_and_what_is_read_in_them(digits, held_out):
    batch = held_out.batch(torch.arange(0, 1000, 10))
    seen = digits(batch["image"])
    assert seen.features.shape == (100, 128)
    assert seen.probabilities.shape == (100, 10)
    assert torch.allclose(seen.probabilities.sum(1), torch.ones(100, dtype=torch.float64))
    assert (seen.read[:, 0] == batch["label"]).double().mean() > 0.97
    assert torch.equal(seen.read[:, 0], seen.probabilities.argmax(1))


def test_features_of_faces_speak_of_every_combination_of_tags(faces, drawn_faces):
    batch = drawn_faces.batch(torch.arange(50))
    seen = faces(batch["image"])
    assert faces.kinds == ("hair", "eyes", "skin", "glasses")
    assert seen.features.shape == (50, 128)
    assert seen.probabilities.shape == (50, 6 * 4 * 3 * 2)
    hair, eyes, skin, glasses = seen.read.unbind(1)
    assert torch.equal(((hair * 4 + eyes) * 3 + skin) * 2 + glasses, seen.probabilities.argmax(1))


def test_images_are_seen_as_they_would_be_stored(digits, held_out):
    images = held_out.batch(torch.arange(20))["image"]
    generated = images + (torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5) / 130
    assert torch.equal(digits(generated).features, digits(images).features)


def test_digits_of_28_pixels_get_the_margin_of_the_data_sets(digits):
    images = data.load("mnist-test", image_size=28)
    small = images.batch(torch.arange(20))["image"]
    padded = mnist.resize(images.tensors["image"][:20], 32).float() / 127.5 - 1
    assert torch.equal(digits(small).features, digits(padded).features)


def test_other_sizes_are_interpolated_and_grey_is_shown_as_colour(faces, drawn_faces):
    images = drawn_faces.batch(torch.arange(40))["image"]
    large = torch.nn.functional.interpolate(images, scale_factor=2)
    right = (faces(large).read == faces(images).read).double().mean()
    assert right > 0.9
    assert faces(images[:, :1]).features.shape == (40, 128)


def test_colour_images_are_no_digits(digits):
    with pytest.raises(ValueError, match="'digits' read images with 1 channel, not 3"):
        digits(torch.zeros(2, 3, 32, 32))


def test_unknown_features_list_the_known():
    with pytest.raises(ValueError, match="unknown features 'lpips'; known features: digits, faces, ava"):
        metrics.features("lpips")


def test_inception_without_network_says_so(monkeypatch):
    def unreachable(*_args, **_options):
        raise URLError("no route to host")

    monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", unreachable)
    with pytest.raises(ConnectionError, match=r"no route to host.*'digits' and 'faces' need no network"):
        metrics.features("inception")


def test_inception_takes_grey_and_colour(monkeypatch):
    """With untrained weights: the arithmetic around the network is what is tested."""
    network = feature_extractor_inceptionv3.FeatureExtractorInceptionV3
    monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_a, **_o: {})
    monkeypatch.setattr(network, "load_state_dict", lambda *_: None)
    inception = metrics.features("inception")
    grey = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen = inception(grey)
    assert seen.features.shape == (2, 2048)
    assert seen.probabilities.shape == (2, 1008)
    assert torch.allclose(seen.probabilities.sum(1), torch.ones(2, dtype=torch.float64))
    assert seen.read is None
    assert torch.equal(inception(grey.expand(-1, 3, -1, -1)).features, seen.features)


# ---- draws ---------------------------------------------------------------------------------------


def copyist(images: data.ImageSet, told: str, number: int | None = None):
    """A stand-in for a method: returns real images of what it is asked for; of kind `number`, of anything."""
    batch = images.batch(torch.arange(len(images)))
    known = evaluation.asked_of({told: batch[told]})

    def sample(count, labels, rng):
        labels = labels.view(count, -1)
        kinds = [kind for kind in range(known.shape[1]) if kind != number]
        fits = (known[None, :, kinds] == labels[:, None, kinds]).all(dim=2)
        return batch["image"][fits.double().multinomial(1, generator=rng)[:, 0]]

    return SimpleNamespace(needs=("image", told), translates=(), sample=sample)


def test_labels_are_asked_for_as_the_reference_has_them(held_out, digits):
    rows = torch.cat([torch.arange(300, 390), torch.arange(700, 710)])
    lopsided = held_out.select(rows)  # ninety threes, ten sevens
    parts = list(metrics.draw_of(copyist(held_out, "label"), lopsided)(1200, seed=0))
    assert [len(images) for images, _ in parts] == [500, 500, 200]
    asked = torch.cat([labels for _, labels in parts])[:, 0]
    assert set(asked.tolist()) == {3, 7}
    assert (asked == 7).double().mean() == pytest.approx(0.1, abs=0.03)
    found = metrics.evaluate(
        metrics.draw_of(copyist(held_out, "label"), lopsided), lopsided, digits,
        metrics=["tags"], judge=digits, count=100, draws=1,
    )  # fmt: skip
    assert found["read as asked"]["value"] > 0.97


def test_the_judge_may_be_another_network_than_the_features(held_out, digits, faces):
    found = metrics.evaluate(
        metrics.draw_of(copyist(held_out, "label"), held_out), held_out, faces,
        metrics=["fid", "tags"], judge=digits, count=60, draws=1,
    )  # fmt: skip
    assert {name: entry["features"] for name, entry in found.items()} == {
        "FID-faces": "faces", "read as asked": "digits",
    }  # fmt: skip
    assert found["read as asked"]["value"] > 0.95


def test_a_generator_that_ignores_the_hair_is_found_out_by_the_hair_alone(drawn_faces, faces):
    shares = {}
    for name, ignored in (("obeys", None), ("ignores hair", 0)):
        draw = metrics.draw_of(copyist(drawn_faces, "tags", ignored), drawn_faces)
        found = metrics.evaluate(draw, drawn_faces, faces, metrics=["tags"], judge=faces, count=200, draws=1)
        shares[name] = {kind: found[f"read as asked, {kind}"]["value"] for kind in (*faces.kinds, "all")}
    assert min(shares["obeys"].values()) > 0.95
    assert shares["ignores hair"]["hair"] < 0.6
    assert shares["ignores hair"]["all"] <= shares["ignores hair"]["hair"]
    assert min(shares["ignores hair"][kind] for kind in ("eyes", "skin", "glasses")) > 0.95


def test_real_images_are_drawn_once_each(held_out):
    parts = list(metrics.draw_real(held_out)(1000, seed=3))
    images = torch.cat([part for part, _ in parts])
    assert len(images.flatten(1).unique(dim=0)) == len(held_out.tensors["image"].flatten(1).unique(dim=0))
    with pytest.raises(ValueError, match="1001 images are asked for; mnist-test has 1000"):
        next(metrics.draw_real(held_out)(1001, seed=0))


# ---- scores --------------------------------------------------------------------------------------


def test_every_metric_tells_digits_from_noise(held_out, digits):
    def noise(count, seed):
        yield torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1, None

    train = data.load("mnist", image_size=32)
    options = {"count": 300, "draws": 1}
    good = metrics.evaluate(metrics.draw_real(train), held_out, digits, **options)
    bad = metrics.evaluate(noise, held_out, digits, **options)
    assert list(good) == list(bad) == NAMES[:-1]
    for name in NAMES[:-1]:
        less_is_better = name[:3] in ("FID", "KID")
        worse, better = (good, bad) if less_is_better else (bad, good)
        assert worse[name]["value"] < better[name]["value"], name


def test_the_interval_is_over_draws_of_different_seeds(held_out, digits):
    train = data.load("mnist", image_size=32)
    options = {"metrics": ["fid", "kid", "is"], "count": 50, "draws": 3}
    first, again, other = (
        metrics.evaluate(metrics.draw_real(train), held_out, digits, seed=seed, **options)
        for seed in (0, 0, 10)
    )
    assert first == again
    fid = first["FID-digits"]
    assert fid["lowest"] < fid["value"] < fid["highest"]
    assert fid["value"] != other["FID-digits"]["value"]
    measured = {key: value for key, value in fid.items() if key not in ("value", "lowest", "highest")}
    assert measured == {
        "samples": 50, "draws": 3, "seed": 0, "reference": "mnist-test", "reference images": 1000,
        "features": "digits",
    }  # fmt: skip
    assert first["KID-digits"]["std"] > 0
    assert first["IS-digits"]["std"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["fid", "lpips"]}, "unknown metric lpips; known metrics: fid, kid, is, prdc, tags"),
        ({"metrics": []}, "unknown metric \\(none given\\)"),
        ({"count": 9}, "9 samples are too few; take 10 or more"),
        ({"draws": 0}, "draws is 0; it must be 1 or more"),
        ({"metrics": ["tags"]}, "tags needs a method that is told labels or tags"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_drawn(held_out, digits, options, message):
    def never(count, seed):
        raise AssertionError("nothing should be drawn")
        yield

    with pytest.raises(ValueError, match=message):
        metrics.evaluate(never, held_out, digits, **options)


@pytest.mark.parametrize(
    ("name", "training_count", "reference"),
    [("mnist", 5000, ("mnist-test", 1000)), ("faces-adventurer", 30, ("faces-adventurer", 20))],
)
def test_a_run_is_compared_with_images_that_it_was_not_trained_on(name, training_count, reference):
    found = evaluation.data_of({"data": {"name": name, "image_size": 16, "count": training_count}}, count=20)
    assert found.held_out
    assert (found.reference.name, len(found.reference)) == reference
    assert len(found.training) == training_count
    seen = {image.numpy().tobytes() for image in found.training.tensors["image"]}
    shared = sum(image.numpy().tobytes() in seen for image in found.reference.tensors["image"])
    assert shared == 0


# ---- the command ---------------------------------------------------------------------------------


def test_evaluate_prints_a_table_and_writes_the_run_card(digits_run, capsys):
    path = digits_run / "run.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"metrics": {"kept": 1}}))
    capsys.readouterr()
    assert run("evaluate", digits_run, "--n", 40, "--draws", 2, "--device", "cpu") == 0
    printed = capsys.readouterr().out
    assert "cgan, step 2; 2 draws of 40 samples against 1,000 held-out images of mnist-test" in printed
    assert "real" in printed.splitlines()[1].split()
    found = training.open_run(digits_run).card["metrics"]
    assert list(found) == ["kept", *NAMES]
    for name in NAMES:
        assert name in printed
        assert found[name]["samples"] == 40
    assert f"{found['FID-digits']['value']:9.4g}" in printed
    assert found["read as asked"]["value"] < 0.5  # two steps teach nothing


def test_evaluate_is_decided_by_the_seed(digits_run):
    results = []
    for seed in (5, 5, 6):
        command = ["evaluate", digits_run, "--metrics", "fid", "--n", 20, "--draws", 1, "--seed", seed]
        assert run(*command, "--device", "cpu") == 0
        results.append(training.open_run(digits_run).card["metrics"]["FID-digits"]["value"])
    assert results[0] == results[1] != results[2]


def test_faces_made_to_order_are_judged_kind_by_kind(tmp_path, capsys):
    folder = tmp_path / "faces"
    options = ["--data", "faces", "--count", 40, "--image-size", 16, "--bottleneck", 8, *SMALL]
    assert run("train", "acgan", "--out", folder, *options) == 0
    assert run("evaluate", folder, "--metrics", "tags,fid", "--n", 20, "--draws", 1, "--device", "cpu") == 0
    found = training.open_run(folder).card["metrics"]
    kinds = ["hair", "eyes", "skin", "glasses", "all"]
    assert list(found) == ["FID-faces", *(f"read as asked, {kind}" for kind in kinds)]
    assert "20 held-out images of faces-adventurer" in capsys.readouterr().out


def test_a_run_on_a_folder_is_compared_with_the_folder(photographs_run, capsys):
    out, folder = photographs_run
    command = ["evaluate", out, "--n", 12, "--draws", 1, "--metrics", "fid,is", "--device", "cpu"]
    assert run(*command) == 1
    assert "which is no data set of the package; name the folder of its images" in capsys.readouterr().err
    assert run(*command, "--data", folder, "--features", "faces") == 0
    assert f"against 16 images of {folder.name}" in capsys.readouterr().out
    assert list(training.open_run(out).card["metrics"]) == ["FID-faces", "IS-faces"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n", "3"], "3 samples are too few; take 10 or more"),
        (["--draws", "0"], "draws is 0; it must be 1 or more"),
        (["--metrics", "fid,ppl"], "unknown metric ppl; known metrics: fid, kid, is, prdc, tags"),
        (["--device", "cuda:99"], "device 'cuda:99' is not on this machine"),
        (["--data", "nowhere"], '"nowhere" is neither a data set'),
    ],
)
def test_bad_options_get_one_line(digits_run, options, message, capsys):
    before = (digits_run / "run.json").read_bytes()
    assert run("evaluate", digits_run, "--device", "cpu", *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("gan-course: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert (digits_run / "run.json").read_bytes() == before


def test_tags_of_an_unconditional_run_are_refused(photographs_run, capsys):
    out, folder = photographs_run
    command = ["evaluate", out, "--metrics", "tags", "--data", folder, "--features", "faces"]
    assert run(*command, "--n", 10, "--device", "cpu") == 1
    assert "tags needs a method that is told labels or tags" in capsys.readouterr().err


def test_no_run_no_scores(tmp_path, capsys):
    assert run("evaluate", tmp_path / "nowhere") == 1
    assert "nowhere is not a run" in capsys.readouterr().err


def test_every_extractor_has_a_choice_on_the_command_line(capsys):
    with pytest.raises(SystemExit):
        run("evaluate", "--help")
    assert "{" + ",".join(extractors.EXTRACTORS) + "}" in capsys.readouterr().out
