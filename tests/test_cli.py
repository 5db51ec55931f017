"""The command line, as a user meets it."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image

from gan_course import cli, methods, training
from gan_course.training import log

SMALL = [
    "--steps",
    "3",
    "--batch-size",
    "4",
    "--ngf",
    "4",
    "--ndf",
    "4",
    "--device",
    "cpu",
    "--log-every",
    "1",
]


def run(*arguments: str) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A conditional run of three steps."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert run("train", "cgan", "--data", "mnist", "--out", folder, *SMALL) == 0
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of twelve small colour pictures."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(12):
        Image.new("RGB", (40, 40), (20 * index, 100, 255 - 20 * index)).save(folder / f"{index}.png")
    return folder


def test_train_leaves_a_run(digits_run):
    opened = training.open_run(digits_run)
    assert opened.card["status"] == "finished"
    assert opened.card["step"] == 3
    assert opened.log["step"].tolist() == [1, 2, 3]


DCGAN_SIZES = ["--ngf", "4", "--ndf", "4", "--image-size", "16"]
TRANSLATOR_SIZES = ["--image-size", "32", "--ngf", "4", "--ndf", "4"]
FACES = ["--count", "8", "--preview-count", "4"]
SIZES = {
    "gan": ["--data", "mnist"],
    "dcgan": ["--data", "mnist", *DCGAN_SIZES],
    "cgan": ["--data", "mnist", *DCGAN_SIZES],
    "acgan": ["--data", "faces", "--count", "8", "--bottleneck", "8", *DCGAN_SIZES],
    "sngan": ["--data", "mnist", "--image-size", "32", "--ngf", "4", "--ndf", "4"],
    "biggan": ["--data", "mnist", "--image-size", "16", "--ch", "4"],
    "pix2pix": [*FACES, "--discriminator-layers", "2", *DCGAN_SIZES],
    "pix2pixhd": [*FACES, "--edges", "label", "--scales", "2", "--blocks", "1", *TRANSLATOR_SIZES],
    "spade": [*FACES, "--spade-features", "4", *TRANSLATOR_SIZES],
    "sean": [
        *FACES,
        "--image-size",
        "64",
        "--ngf",
        "4",
        "--ndf",
        "4",
        "--style-size",
        "8",
        "--encoder-features",
        "4",
        "--spade-features",
        "4",
    ],
    "cyclegan": [*FACES, "--blocks", "1", *TRANSLATOR_SIZES],
    "unit": [
        *FACES,
        "--blocks",
        "1",
        "--shared-blocks",
        "1",
        "--layers",
        "3",
        "--scales",
        "2",
        *TRANSLATOR_SIZES,
    ],
    "munit": [*FACES, "--blocks", "1", "--layers", "3", "--scales", "2", *TRANSLATOR_SIZES],
    "stargan": [*FACES, "--blocks", "1", "--layers", "4", *TRANSLATOR_SIZES],
    "ugatit": [*FACES, "--light", "--discriminator-layers", "0", "--blocks", "1", *TRANSLATOR_SIZES],
}


@pytest.mark.parametrize("name", methods.names())
def test_every_method_trains(name, tmp_path):
    assert (
        run("train", name, "--out", tmp_path / "run", "--steps", "1", "--batch-size", "4", *SIZES[name]) == 0
    )
    config = training.open_run(tmp_path / "run").card["config"]
    channels = 1 if "mnist" in SIZES[name] else 3
    assert config.get("channels", 1) == channels  # the data's, not the default


def test_a_method_that_needs_tags_says_so(tmp_path, capsys):
    assert run("train", "acgan", "--data", "mnist", "--out", tmp_path / "run", *DCGAN_SIZES) == 1
    assert "acgan needs tags; the data set mnist has none" in capsys.readouterr().err


def test_the_classic_options_mean_what_they_meant(photographs, tmp_path):
    code = run("train", "dcgan", "-i", photographs, "-r", tmp_path / "run", "-e", 2, "-lr", 0.001, "-is", 16,
               "-bs", 4, "-nz", 7, "-nc", 3, "-ngf", 5, "-ndf", 6, "-b", 0.4, "-ng", 0)  # fmt: skip
    assert code == 0
    card = training.open_run(tmp_path / "run").card
    config = card["config"]
    assert (config["learning_rate"], config["image_size"], config["noise_size"]) == (0.001, 16, 7)
    assert (config["channels"], config["ngf"], config["ndf"], config["beta1"]) == (3, 5, 6, 0.4)
    assert card["settings"]["batch_size"] == 4
    assert card["step"] == 2 * (12 // 4)  # two epochs
    assert card["machine"]["device"] == "cpu"  # no GPU asked for


def test_the_long_classic_options_are_accepted(photographs, tmp_path):
    code = run("train", "dcgan", "--input", photographs, "--results", tmp_path / "run", "--epochs", 1,
               "--learning_rate", 0.001, "--img_size", 16, "--batch_size", 4, "--size_vector_z", 7,
               "--num_channels", 3, "--size_feature_g", 5, "--size_feature_d", 6, "--beta", 0.4,
               "--ngpu", 0)  # fmt: skip
    assert code == 0
    assert training.open_run(tmp_path / "run").card["config"]["ngf"] == 5


def test_show_opens_the_last_grid(photographs, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(cli, "show", shown.append)
    arguments = [
        "-i",
        photographs,
        "-r",
        tmp_path / "run",
        "-is",
        16,
        "-bs",
        4,
        "--steps",
        1,
        "--ngf",
        4,
        "--ndf",
        4,
    ]
    assert run("train", "dcgan", *arguments, "-s") == 0
    assert shown == [tmp_path / "run" / "samples" / "00000001.png"]


@pytest.mark.parametrize("name", methods.names())
def test_every_field_is_an_option_with_its_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        run("train", name, "--help")
    assert stop.value.code == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    for config in (methods.config_class(name), training.TrainingSettings):
        for field in dataclasses.fields(config):
            assert "--" + field.name.replace("_", "-") in shown
            assert re.sub(r"\s+", " ", field.metadata["help"])[:30] in shown.replace("- ", "-")


def test_gan_takes_its_shape_from_the_data(tmp_path):
    assert (
        run("train", "gan", "--data", "mnist", "--out", tmp_path / "run", "--steps", 1, "--batch-size", 4)
        == 0
    )
    assert training.open_run(tmp_path / "run").method.config.data_shape == (1, 28, 28)


def test_a_second_run_in_the_same_folder_is_refused_and_resume_goes_on(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", "cgan", "--out", folder, *SMALL) == 0
    assert run("train", "cgan", "--out", folder, *SMALL) == 1
    assert "holds a run already (cgan, step 3); resume it" in capsys.readouterr().err
    longer = ["--steps", "5", *SMALL[2:]]
    assert run("train", "cgan", "--out", folder, *longer, "--resume") == 0
    assert training.open_run(folder).card["step"] == 5


def test_sample_writes_a_grid(digits_run, tmp_path, capsys):
    out = tmp_path / "deep" / "grid.png"
    assert run("sample", digits_run, "--n", 10, "--columns", 5, "--out", out) == 0
    assert Image.open(out).size == (5 * 34 + 2, 2 * 34 + 2)
    assert "10 images" in capsys.readouterr().out


def test_the_same_seed_draws_the_same_grid(digits_run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("sample", digits_run, "--n", 4, "--seed", seed, "--out", tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_labels_choose_what_is_drawn(digits_run, tmp_path, monkeypatch):
    asked = {}
    original = methods.method_class("cgan").sample

    def spy(self, count, **options):
        asked.update(options)
        return original(self, count, **options)

    monkeypatch.setattr(methods.method_class("cgan"), "sample", spy)
    assert run("sample", digits_run, "--n", 5, "--labels", 3, 8, "--out", tmp_path / "g.png") == 0
    assert torch.equal(asked["labels"], torch.tensor([3, 8, 3, 8, 3]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cgan", "--data", "no-such-data", "--out", "r"], "no-such-data"),
        (["train", "cgan", "--image-size", "33", "--out", "r"], "image_size is 33; it must be one of 16, 32"),
        (["train", "cgan", "--game", "poker", "--out", "r"], "unknown game 'poker'; known games: minimax"),
        (["train", "cgan", "--batch-size", "0", "--out", "r"], "batch_size is 0; it must be 1 or more"),
        (["train", "cgan", "--batch-size", "6000", "--out", "r"], "5000"),
        (["train", "cgan", "--steps", "1", "--epochs", "1", "--out", "r"], "are both given; give one"),
        (["train", "cgan", "--device", "cuda:99", "--out", "r"], "device 'cuda:99' is not on this machine"),
        (["train", "cgan", "--device", "tpu", "--out", "r"], "it must be auto, cpu, cuda, cuda:N or mps"),
        (["train", "dcgan", "-ng", "99", "--steps", "1", "--out", "r"], "99 GPUs are asked for"),
        (["train", "cgan", "--data", "faces", "--count", "64", "--out", "r"], "needs label"),
        (["sample", "nowhere"], "nowhere is not a run: it has no run.json"),
        (["data", "check", "nowhere"], "nowhere"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_that_says_what_would_be_right(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    *before, last = capsys.readouterr().err.splitlines()
    assert last.startswith("gan-course: ")
    assert message in last
    assert not any("Traceback" in line for line in before)
    assert not (tmp_path / "r").exists()


def test_sample_with_a_label_that_the_model_does_not_know(digits_run, capsys):
    assert run("sample", digits_run, "--labels", 12) == 1
    assert "labels run from 12 to 12; this model knows 0 to 9" in capsys.readouterr().err


def test_sample_of_none(digits_run, capsys):
    assert run("sample", digits_run, "--n", 0) == 1
    assert "--n is 0; it must be 1 or more" in capsys.readouterr().err


def test_an_unknown_option_is_refused_with_the_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        run("train", "dcgan", "--out", "r", "--learning-rat", "1")
    assert stop.value.code == 2
    assert "--learning-rat" in capsys.readouterr().err


def test_methods_lists_every_paper(capsys):
    assert run("methods") == 0
    shown = capsys.readouterr().out
    for name in methods.names():
        assert name in shown
        assert methods.method_class(name).paper in shown


def test_data_list_names_every_set(capsys):
    assert run("data", "list") == 0
    shown = capsys.readouterr().out
    for name in ("mnist", "mnist-full", "faces"):
        assert name in shown


def test_render_then_check_then_train(tmp_path, capsys):
    folder = tmp_path / "faces"
    assert run("data", "render", "faces", "--n", 8, "--size", 32, "--out", folder) == 0
    assert len(list((folder / "images").glob("*.png"))) == len(list((folder / "labels").glob("*.png"))) == 8
    assert len((folder / "tags.csv").read_text().splitlines()) == 9
    assert run("data", "check", folder / "images") == 0
    arguments = ["--image-size", "16", *SMALL]
    assert run("train", "dcgan", "--data", folder / "images", "--out", tmp_path / "run", *arguments) == 0


def test_check_names_the_broken_file(photographs, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "good.png").write_bytes((photographs / "1.png").read_bytes())
    (broken / "half.png").write_bytes((photographs / "1.png").read_bytes()[:40])
    assert run("data", "check", broken) == 1
    assert "half.png" in "".join(capsys.readouterr())


# ---- label maps from folders, as the notes of a course on SPADE train them ---------------------------


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Twelve photographs of 70 x 80 pixels and their label maps, half of them with a palette."""
    folder = tmp_path_factory.mktemp("streets")
    (folder / "photos").mkdir()
    (folder / "maps").mkdir()
    rng = np.random.default_rng(0)
    for k in range(12):
        ids = np.kron(rng.integers(0, 19, (7, 8)), np.ones((10, 10))).astype(np.uint8)
        Image.fromarray(np.stack([13 * ids, 255 - 13 * ids, 7 * ids], -1)).save(
            folder / "photos" / f"{k}.jpg"
        )
        label_map = Image.fromarray(ids)
        if k % 2:
            label_map = Image.fromarray(ids, mode="P")
            label_map.putpalette(bytes(range(256)) * 3)
        label_map.save(folder / "maps" / f"{k}.png")
    return folder


SPADE = [
    "--label-nc", "19", "--no-instance", "--batch-size", "2", "--norm", "clade",
    "--ngf", "2", "--ndf", "4", "--device", "cpu", "--preview-count", "2",
]  # fmt: skip


def test_the_documented_command_of_spade(streets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ["--label-dir", streets / "maps", "--image-dir", streets / "photos"]
    sizes = ["--load-size", 48, "--crop-size", 32]
    more = ["--epochs", 2, "--measure-every", 1, "--features", "faces", "--log-every", 2]
    arguments = ["train", "spade", *folders, *sizes, *SPADE, *more, "--name", "mike_crop_subset"]
    assert run(*arguments) == 0
    folder = tmp_path / "runs" / "mike_crop_subset"
    opened = training.open_run(folder)
    config, settings = opened.card["config"], opened.card["settings"]
    wanted = {"image_size": 32, "label_nc": 19, "instance": False, "norm": "clade"}
    assert wanted.items() <= config.items()
    assert (settings["batch_size"], settings["crop_size"]) == (2, 32)
    assert opened.card["data"]["image_size"] == 48
    assert opened.card["step"] == 12
    assert {"generator", "discriminator", "feature matching"} <= set(opened.log)
    distances = log.read(folder / "fid.csv")
    assert distances["step"].tolist() == [6, 12] and distances["epoch"].tolist() == [1, 2]
    assert np.isfinite(distances["FID-faces"]).all()
    arguments[arguments.index("--epochs") + 1] = 3
    assert run(*arguments, "--resume") == 0  # goes on from the iteration where it was
    assert training.open_run(folder).log["step"].tolist() == list(range(2, 19, 2))
    assert run("translate", folder, "--input", streets / "maps", "--out", tmp_path / "made") == 0
    assert len(list((tmp_path / "made").glob("*.png"))) == 12


def test_as_large_as_it_is_loaded_there_is_no_crop(streets, tmp_path):
    folders = ["--label-dir", streets / "maps", "--image-dir", streets / "photos"]
    sizes = ["--load-size", 32, "--crop-size", 32, "--steps", 1]
    assert run("train", "spade", *folders, *sizes, *SPADE, "--out", tmp_path / "run") == 0
    card = training.open_run(tmp_path / "run").card
    assert card["config"]["image_size"] == 32 and card["settings"]["crop_size"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label-dir", "maps"], "--image-dir and --label-dir belong together; give both"),
        (["--image-dir", "photos"], "--image-dir and --label-dir belong together; give both"),
        (["--image-dir", "photos", "--label-dir", "photos"], "0.jpg"),
        (["--image-dir", "photos", "--label-dir", "maps", "--label-nc", "5"], "maps/"),
        (
            ["--image-dir", "photos", "--label-dir", "maps", "--measure-every", "1"],
            "no features of the package were made for",
        ),
    ],
)
def test_label_maps_that_cannot_be_used(arguments, message, streets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(streets)
    sizes = ["--load-size", 32, "--crop-size", 32, "--steps", 1]
    assert run("train", "spade", *SPADE, *sizes, *arguments, "--out", tmp_path / "run") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_pairs_side_by_side(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    for k in range(4):
        Image.new("RGB", (64, 32), (40 * k, 9, 9)).save(folder / f"{k}.png")
    arguments = [
        "--data",
        folder,
        "--pairs",
        "side-by-side",
        "--preview-count",
        2,
        "--steps",
        1,
        "--batch-size",
        2,
    ]
    sizes = ["--discriminator-layers", 2, *DCGAN_SIZES]
    assert run("train", "pix2pix", *arguments, *sizes, "--direction", "BtoA", "--out", tmp_path / "run") == 0
    assert training.open_run(tmp_path / "run").card["config"]["direction"] == "BtoA"


def test_two_domains_from_folders(photographs, tmp_path):
    for domain in "AB":
        (tmp_path / f"train{domain}").mkdir()
        for k in range(4):
            Image.new("RGB", (40, 40), (40 * k, 9, 9)).save(tmp_path / f"train{domain}" / f"{k}.png")
    arguments = ["--data", tmp_path, "--preview-count", 2, "--steps", 1, "--batch-size", 2, "--blocks", 1]
    assert run("train", "cyclegan", *arguments, *TRANSLATOR_SIZES, "--out", tmp_path / "run") == 0
    assert training.open_run(tmp_path / "run").card["data"]["name"] == "trainA and trainB"


def test_a_run_needs_a_place(capsys):
    with pytest.raises(SystemExit):
        run("train", "gan", "--data", "mnist")
    assert "one of the arguments --out --name is required" in capsys.readouterr().err
