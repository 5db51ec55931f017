"""Generators as ONNX files: what goes in and out, and that they agree with the network."""

import numpy as np
import onnxruntime
import pytest
import torch
from small_methods import small

from gan_course import cli, export, methods, training, weights

INPUTS = {
    "gan": ["noise"],
    "dcgan": ["noise"],
    "sngan": ["noise"],
    "cgan": ["noise", "labels"],
    "biggan": ["noise", "labels"],
    "acgan": ["noise", "tags"],
    "pix2pix": ["input"],
    "spade": ["label_map"],
    "cyclegan": ["images"],
    "ugatit": ["images"],
    "unit": ["images"],
    "munit": ["images", "style"],
    "stargan": ["images", "labels"],
}


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_every_method_is_exported_or_refused():
    assert sorted(export.EXPORTS) == sorted(INPUTS)
    assert set(methods.names()) - set(INPUTS) == {"pix2pixhd", "sean"}


SLOW = ("biggan", "stargan", "sngan", "gan")  # no demonstration of the book uses them


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in sorted(INPUTS)]
)
def test_a_file_is_the_generator_for_any_batch(name, tmp_path):
    method = small(name).train()
    before = {key: value.clone() for key, value in method.state_dict().items() if torch.is_tensor(value)}
    exported = export.export(method, tmp_path / "generator.onnx")
    assert list(exported.inputs) == INPUTS[name]
    assert exported.difference <= export.TOLERANCE
    assert all(shape[0] == "batch" for shape in (exported.inputs | exported.outputs).values())
    assert method.training and all(network.training for network in method.networks.values())  # as found
    for key, value in before.items():
        assert torch.equal(method.state_dict()[key], value), key
    assert [path.name for path in tmp_path.iterdir()] == ["generator.onnx"]  # one file, no data beside it


def test_a_digit_from_the_file_is_the_digit_of_the_method(tmp_path):
    method, _ = weights.load("cgan-mnist")
    path = export.export(method, tmp_path / "digits.onnx").path
    noise, labels = method.draw_noise(5, torch.Generator().manual_seed(3)), torch.tensor([3, 1, 4, 1, 5])
    (made,) = session(path).run(None, {"noise": noise.numpy(), "labels": labels.numpy()})
    np.testing.assert_allclose(made, method.sample(5, noise=noise, labels=labels).numpy(), atol=1e-4)


def test_either_direction_and_the_attention(tmp_path):
    method = small("ugatit")
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    for direction in export.DIRECTIONS:
        path = export.export(method, tmp_path / f"{direction}.onnx", direction).path
        translated, attention = session(path).run(None, {"images": images.numpy()})
        np.testing.assert_allclose(translated, method.translate(images, direction).numpy(), atol=1e-4)
        assert attention.shape == (3, 1, 8, 8)


def test_a_wrong_file_is_not_kept_and_a_good_one_is_not_lost(tmp_path, monkeypatch):
    path = tmp_path / "generator.onnx"
    path.write_bytes(b"the one from yesterday")
    monkeypatch.setattr(export, "largest_difference", lambda found, path: 0.5)
    with pytest.raises(ValueError, match=r"differ from the network by 5.0e-01.*was not written"):
        export.export(small("dcgan"), path)
    monkeypatch.setattr(export, "largest_difference", lambda found, path: float("nan"))
    with pytest.raises(ValueError, match="was not written"):
        export.export(small("dcgan"), path)
    assert path.read_bytes() == b"the one from yesterday"
    assert [found.name for found in tmp_path.iterdir()] == ["generator.onnx"]


@pytest.mark.parametrize(
    ("name", "direction", "message"),
    [
        ("sean", "AtoB", "sean cannot be exported; these can: acgan, biggan, cgan"),
        ("dcgan", "there", "direction is 'there'; it must be AtoB or BtoA"),
    ],
)
def test_what_cannot_be_exported_says_so(name, direction, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.export(small(name), tmp_path / "x.onnx", direction)


def test_a_spade_that_needs_more_than_labels_says_so(tmp_path):
    method = methods.build("spade", image_size=32, ngf=4, ndf=4, spade_features=4, label_nc=5, instance=True)
    with pytest.raises(ValueError, match="with instance maps or positions cannot be exported"):
        export.export(method, tmp_path / "x.onnx")


@pytest.mark.slow
def test_styles_of_a_spade_are_an_input(tmp_path):
    method = methods.build(
        "spade", image_size=32, ngf=4, ndf=4, spade_features=4, label_nc=5, vae=True, noise_size=6
    )
    assert export.export(method, tmp_path / "x.onnx").inputs["style"] == ["batch", 6]


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ModuleNotFoundError, match="exporting needs onnxscript: pip install onnx onnxscript"):
        export.export(small("dcgan"), tmp_path / "x.onnx")


# ---- the command -------------------------------------------------------------------------------------


def test_the_command_exports_a_run_and_shipped_weights(tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    sizes = ["--ngf", "4", "--ndf", "4", "--image-size", "16", "--steps", "1", "--batch-size", "4"]
    assert cli.main(["train", "dcgan", "--data", "mnist", "--out", str(run), *sizes]) == 0
    capsys.readouterr()
    assert cli.main(["export", str(run), "--format", "onnx"]) == 0
    said = capsys.readouterr().out
    assert "generator.onnx: noise [batch, 100] -> images [batch, 1, 16, 16]" in said
    noise = training.open_run(run).method.draw_noise(1, torch.Generator().manual_seed(0))
    assert session(run / "generator.onnx").run(None, {"noise": noise.numpy()})[0].shape == (1, 1, 16, 16)
    assert cli.main(["export", "cgan-mnist", "--out", str(tmp_path / "digits.onnx")]) == 0
    assert (tmp_path / "digits.onnx").stat().st_size < 6e6


@pytest.mark.parametrize(
    ("source", "message"),
    [("digit-classifier", "digit-classifier is a judge, which generates nothing"), ("nowhere", "nowhere")],
)
def test_the_command_says_what_is_wrong(source, message, tmp_path, capsys):
    assert cli.main(["export", source, "--out", str(tmp_path / "x.onnx")]) == 1
    assert message in capsys.readouterr().err
