"""gan-course translate: a folder through a trained method."""

import numpy as np
import pytest
import torch
from PIL import Image

from gan_course import cli, methods, training, translation
from gan_course.data import ImageSet, UnpairedSet
from gan_course.training.run import save_weights, write_card


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def tiny_run(folder, name, **fields):
    """A run that was never trained."""
    folder.mkdir()
    torch.manual_seed(0)
    method = methods.build(name, **fields)
    networks = torch.nn.ModuleDict({key: method.networks[key] for key in method.sampling_networks})
    save_weights(folder / "generator.safetensors", networks)
    card = {"method": name, "config": vars(method.config), "data": {}, "settings": {}, "step": 0}
    write_card(folder, card)
    return folder


CYCLEGAN = {"image_size": 32, "ngf": 4, "ndf": 4, "blocks": 1}


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "cyclegan", "cyclegan", **CYCLEGAN)


@pytest.fixture
def pictures(tmp_path):
    """Five pictures, one of them in a subfolder, of sizes that are not the method's."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k, name in enumerate(("a.png", "b.jpg", "c.png", "d.png", "more/e.png")):
        pixels = rng.integers(0, 256, (40 + k, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_every_picture_is_translated_under_its_own_name(cyclegan, pictures, tmp_path, capsys):
    assert run("translate", cyclegan, "--input", pictures, "--out", tmp_path / "out", "--batch-size", 2) == 0
    found = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.png", "b.png", "c.png", "d.png", "more/e.png"]
    assert {Image.open(tmp_path / "out" / name).size for name in found} == {(32, 32)}
    assert "5 translations" in capsys.readouterr().out


def test_the_result_is_what_the_method_makes(cyclegan, tmp_path):
    source = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(source).save(tmp_path / "in" / "x.png")
    method = training.open_run(cyclegan).method
    image = torch.from_numpy(source).permute(2, 0, 1)[None] / 127.5 - 1
    made = {}
    for direction in ("AtoB", "BtoA"):
        (result,) = translation.translate_folder(method, tmp_path / "in", tmp_path / direction, direction)
        made[direction] = torch.from_numpy(np.asarray(Image.open(result)).copy()).permute(2, 0, 1) / 127.5 - 1
        expected = method.translate(image, direction=direction)[0]
        assert (made[direction] - expected).abs().max() <= 1.01 / 127.5
    assert not torch.equal(made["AtoB"], made["BtoA"])


def test_what_is_there_already_is_left_alone(cyclegan, pictures, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "c.png").write_text("mine")
    assert run("translate", cyclegan, "--input", pictures, "--out", out) == 0
    assert (out / "c.png").read_text() == "mine"
    assert (out / "d.png").exists()


def test_attention_lies_beside_the_result(pictures, tmp_path):
    folder = tiny_run(tmp_path / "run", "cyclegan", attention="spa", **CYCLEGAN)
    assert run("translate", folder, "--input", pictures, "--out", tmp_path / "out") == 0
    assert Image.open(tmp_path / "out" / "more" / "e.attention.png").size == (32, 32)


def test_an_attention_map_covers_the_picture_where_it_is_high():
    images = torch.full((1, 3, 2, 2), -1.0)
    heat = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    covered = translation.covered(images, heat)
    assert covered[..., 1].mean() > covered[..., 0].mean() + 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--input": "nowhere"}, "there is no folder nowhere"),
        ({"RUN": "nowhere"}, "nowhere is not a run"),
    ],
)
def test_what_is_not_there(change, message, cyclegan, pictures, tmp_path, capsys):
    arguments = {"RUN": cyclegan, "--input": pictures, "--out": tmp_path / "out"} | change
    code = run("translate", arguments.pop("RUN"), *(part for pair in arguments.items() for part in pair))
    assert code == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_picture_is_named_and_the_others_before_it_are_kept(
    cyclegan, pictures, tmp_path, capsys
):
    (pictures / "c.png").write_text("no picture")
    arguments = ["--input", pictures, "--out", tmp_path / "out", "--batch-size", 1]
    assert run("translate", cyclegan, *arguments) == 1
    assert f"{pictures / 'c.png'} cannot be read as an image" in capsys.readouterr().err
    assert (tmp_path / "out" / "b.png").exists()


def test_methods_that_do_not_translate(tmp_path, pictures):
    method = methods.build("dcgan", image_size=16, ngf=2, ndf=2)
    with pytest.raises(ValueError, match="dcgan makes images from noise; draw them with: gan-course sample"):
        translation.translate_folder(method, pictures, tmp_path / "out")
    method = methods.build("cyclegan", **CYCLEGAN)
    with pytest.raises(ValueError, match="direction is 'there'; it must be AtoB or BtoA"):
        translation.translate_folder(method, pictures, tmp_path / "out", "there")


def test_the_sample_grid_of_two_domains_has_six_columns(tmp_path):
    pixels = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    both = UnpairedSet(ImageSet("a", {"image": pixels}), ImageSet("b", {"image": pixels + 255}))
    method = methods.build("cyclegan", **CYCLEGAN)
    done = training.train(
        method, both, tmp_path / "run", steps=1, batch_size=2, device="cpu", preview_count=2
    )
    assert done.card["data"]["name"] == "a and b"
    assert Image.open(done.samples[-1][1]).size == (6 * 34 + 2, 2 * 34 + 2)
