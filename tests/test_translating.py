"""What the trainer and the evaluation do for methods that start from data: a toy that tints its input."""

import csv
import dataclasses

import pytest
import torch
from PIL import Image
from torch import nn

from gan_course import training
from gan_course.data import ImageSet
from gan_course.methods.base import Method, check_inputs, evaluating, option
from gan_course.metrics import evaluation


@dataclasses.dataclass(frozen=True)
class TintConfig:
    image_size: int = option(8, "pixels")
    channels: int = option(3, "channels")
    input_channels: int = option(1, "channels of the input")
    label_nc: int = option(4, "classes")


class Tint(Method):
    """One 1 x 1 convolution from the input to the image; D looks at the mean colour."""

    name = "tint"
    paper = "none"
    config_class = TintConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    needs = ("image", "input", "label_map")
    translates = ("input",)

    def __init__(self, config=None):
        super().__init__(config or TintConfig())
        self.generator = nn.Conv2d(1, 3, 1)
        self.discriminator = nn.Conv2d(3, 1, 1)
        self.looked = 0

    def forward_generators(self, batch):
        return {"fake": self.generator(batch["input"])}

    def loss(self, player, batch, outputs):
        if player == "generator":
            self.looked += 1
            return {"generator": (outputs["fake"] - batch["image"]).square().mean()}
        return {"discriminator": self.discriminator(outputs["fake"].detach()).square().mean()}

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None):
        source = check_inputs(self, count, inputs)["input"]
        with evaluating(self.generator):
            return self.generator(source).clamp(-1, 1)

    def preview(self, count, rng, examples=None):
        return {name: examples[name] for name in ("input", "image")}

    def grid(self, preview):
        shown = [preview["input"].expand(-1, 3, -1, -1), preview["image"]]
        return torch.stack(shown, dim=1).flatten(0, 1), 2

    def optimizer(self, player):
        return torch.optim.SGD(self.parameters_of(player), lr=0.01)

    def get_extra_state(self):
        return {"looked": self.looked}

    def set_extra_state(self, state):
        self.looked = state["looked"]


def pairs(count=12, size=8, classes=4, value=0):
    rng = torch.Generator().manual_seed(value)
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=rng)
    source = torch.full((count, 1, size, size), value, dtype=torch.uint8)
    maps = torch.zeros(count, size, size, dtype=torch.uint8)
    tensors = {"image": pixels, "input": source, "label_map": maps}
    return ImageSet("pairs", tensors, map_names=tuple(map(str, range(classes))))


def train(out, images=None, **more):
    torch.manual_seed(0)
    settings = {"steps": 6, "batch_size": 4, "device": "cpu", "preview_count": 4, "progress": False}
    return training.train(Tint(), images or pairs(), out, **settings | more)


def test_the_sample_grid_is_drawn_from_held_out_images(tmp_path):
    run = train(tmp_path / "run", held_out=pairs(value=255))
    grid = Image.open(run.samples[-1][1]).convert("L")
    assert grid.size == (2 * 10 + 2, 4 * 10 + 2)  # rows of input and image, four of them
    assert grid.getpixel((5, 5)) == 255
    assert Image.open(train(tmp_path / "other").samples[-1][1]).convert("L").getpixel((5, 5)) == 0


def test_a_few_held_out_images_are_shown_again(tmp_path):
    run = train(tmp_path / "run", held_out=pairs(count=3), preview_count=4)
    assert Image.open(run.samples[-1][1]).size == (22, 42)


def test_training_on_crops(tmp_path):
    run = train(tmp_path / "run", pairs(size=12), crop_size=8, held_out=pairs(size=12))
    assert run.card["settings"]["crop_size"] == 8
    assert Image.open(run.samples[-1][1]).size == (22, 42)
    with pytest.raises(ValueError, match="crop_size is 20; the images of pairs have 12 pixels"):
        train(tmp_path / "other", pairs(size=12), crop_size=20)
    with pytest.raises(ValueError, match="tint is built for image_size 8; pairs has 12"):
        train(tmp_path / "other", pairs(size=12))


def test_state_that_is_no_tensor_is_in_the_checkpoint(tmp_path):
    train(tmp_path / "run", steps=4)
    method = Tint()
    settings = {"batch_size": 4, "device": "cpu", "preview_count": 4, "progress": False}
    training.train(method, pairs(), tmp_path / "run", steps=6, resume=True, **settings)
    assert method.looked == 6


def test_more_classes_than_the_method_is_built_for(tmp_path):
    train(tmp_path / "fewer", pairs(classes=3))
    with pytest.raises(ValueError, match="built for label_nc 4; the label maps of pairs have 5 classes"):
        train(tmp_path / "more", pairs(classes=5))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "tint makes images from input, not from noise alone: give `inputs`, a batch that holds input"),
        ({"image": torch.zeros(2, 3, 8, 8)}, "give `inputs`, a batch that holds input"),
        ({"input": torch.zeros(3, 1, 8, 8)}, "2 samples need 2 rows of input, not 3"),
    ],
)
def test_sampling_without_what_it_starts_from(inputs, message):
    with pytest.raises(ValueError, match=message):
        Tint().sample(2, inputs=inputs)


# ---- a measure every so many epochs --------------------------------------------------------------


def rows_of(path):
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def draws_at_random(method):
    return {"FID": torch.rand(()).item(), "bias": method.generator.bias[0].item()}


def test_a_measure_every_epoch(tmp_path):
    run = train(tmp_path / "run", steps=8, measure_every=1, measure=draws_at_random)
    rows = rows_of(run.path / "fid.csv")
    assert [(row["step"], row["epoch"]) for row in rows] == [(3, 1), (6, 2), (8, 2.67)]
    assert rows[-1]["bias"] == pytest.approx(run.method.generator.bias[0].item())


def test_measuring_leaves_no_trace_in_the_training(tmp_path):
    plain = train(tmp_path / "plain", steps=8)
    measured = train(tmp_path / "measured", steps=8, measure_every=1, measure=draws_at_random)
    weights = [run.method.generator.weight for run in (plain, measured)]
    assert torch.equal(*weights)


def test_a_resumed_run_measures_again_what_came_after_its_checkpoint(tmp_path):
    settings = {"measure_every": 1, "measure": draws_at_random, "save_every": 4}
    train(tmp_path / "run", steps=8, **settings)
    whole = rows_of(tmp_path / "run" / "fid.csv")
    (tmp_path / "run" / "checkpoint.pt").unlink()  # the one before is that of step 4
    train(tmp_path / "run", steps=8, resume=True, **settings)
    assert [row["step"] for row in rows_of(tmp_path / "run" / "fid.csv")] == [row["step"] for row in whole]


def test_nothing_to_measure_by(tmp_path):
    with pytest.raises(ValueError, match=r"measure_every is 2\.0, but there is nothing to measure by"):
        train(tmp_path / "run", measure_every=2.0)


def test_an_evaluation_draws_from_the_reference(tmp_path):
    method = Tint()
    method.generator.weight.data.fill_(1)
    method.generator.bias.data.zero_()
    parts = list(evaluation.draw_of(method, pairs(value=255))(600, 0))
    assert [len(images) for images, _ in parts] == [500, 100]
    assert all((images == 1).all() and asked is None for images, asked in parts)
