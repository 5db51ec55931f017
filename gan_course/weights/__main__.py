"""Trains one of the shipped weights, or the runs of a record, again: python -m gan_course.weights NAME."""

import argparse
import dataclasses
import functools
import inspect
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F

from gan_course import data, methods, metrics, training, weights
from gan_course.data.faces import TAG_GROUPS
from gan_course.metrics import Classifier, Segmenter
from gan_course.training.run import machine, save_weights, versions
from gan_course.translation import DIRECTIONS

Judge = Classifier | Segmenter
SAMPLES = 1000
STYLES = ("adventurer", "lorelei")  # the domains A and B of the chapters on unpaired translation
DRAWS = 10

# ---- the judges ----------------------------------------------------------------------------------


def judge_of_digits(out: Path, data_folder: Path | None) -> None:
    """Reads digits; measured on digits that it never saw."""
    digits = data.load("mnist", image_size=32)
    classifier, card = trained_judge(digits, epochs=25, seed=0)
    measured = {}
    for name, options in (("mnist-test", {}), ("mnist-full", {"split": "test", "folder": data_folder})):
        try:
            held_out = data.load(name, image_size=32, **options)
        except OSError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        batch = held_out.batch(torch.arange(len(held_out)))
        right = metrics.predict(classifier, batch["image"]) == batch["label"]
        measured[f"accuracy on {name}"] = round(right.double().mean().item(), 4)
        measured[f"digits in {name}"] = len(held_out)
    publish(out, "digit-classifier", card | {"metrics": measured}, classifier)


def judge_of_faces(
    out: Path, data_folder: Path | None, name: str = "face-classifier", style: str = "adventurer"
) -> None:
    """Reads the tags of faces; measured on faces of another seed, which it never saw."""
    faces = data.load("faces", image_size=64, count=5000, style=style)
    classifier, card = trained_judge(faces, epochs=25 if style == "adventurer" else 8, features=24, seed=0)
    held_out = data.load("faces", image_size=64, count=2000, seed=1, style=style)
    batch = held_out.batch(torch.arange(len(held_out)))
    right = metrics.predict(classifier, batch["image"]) == metrics.tag_numbers(batch["tags"])
    measured = {
        "held-out faces": len(held_out),
        "seed of the held-out faces": 1,
        **{f"accuracy, {kind}": share for kind, share in by_kind(right).items()},
        "accuracy, all four": round(right.all(dim=1).double().mean().item(), 4),
    }
    publish(out, name, card | {"metrics": measured}, classifier)


def judge_of_maps(out: Path, data_folder: Path | None) -> None:
    """Reads the class of every pixel of a face; measured on faces of another seed, which it never saw."""
    images = data.load("faces", image_size=64, count=5000)
    segmenter, card = trained_judge(images, metrics.train_segmenter, epochs=4, seed=0)
    held_out = data.load("faces", image_size=64, count=2000, seed=1)
    batch = held_out.batch(torch.arange(len(held_out)))
    read = metrics.predict_maps(segmenter, batch["image"])
    score = metrics.segmentation_score(read, batch["label_map"], len(held_out.map_names))
    measured = {
        "held-out faces": len(held_out),
        "seed of the held-out faces": 1,
        "pixel accuracy": round(score.pixel_accuracy, 4),
        "mean accuracy": round(score.mean_accuracy, 4),
        "mean IoU": round(score.mean_iou, 4),
        "IoU by class": by_class(held_out.map_names, score.class_iou),
        "accuracy by class": by_class(held_out.map_names, score.class_accuracy),
    }
    publish(out, "face-segmenter", card | {"metrics": measured}, segmenter)


def both_styles(count: int = 5000, seed: int = 0) -> data.ImageSet:
    """Faces of both domains of the chapters on unpaired translation, with labels and common label maps."""
    return data.joined(data.load("faces", domains=STYLES, image_size=64, count=count, seed=seed))


def greyed(images: torch.Tensor) -> torch.Tensor:
    """The mean of the colours [N, 1, H, W]: lorelei has none, and a judge of style is not to go by that."""
    return images.float().mean(dim=1, keepdim=True).to(images.dtype)


def judge_of_styles(out: Path, data_folder: Path | None) -> None:
    """Tells the styles of two draughtsmen apart, without seeing colour; measured on faces it never saw."""
    both = both_styles()
    grey = dataclasses.replace(both, tensors=both.tensors | {"image": greyed(both.tensors["image"])})
    classifier, card = trained_judge(grey, epochs=2, features=12, seed=0)
    held_out = both_styles(count=1000, seed=1)
    batch = held_out.batch(torch.arange(len(held_out)))
    right = metrics.predict(classifier, greyed(batch["image"])) == batch["label"]
    measured = {
        "held-out faces": len(held_out),
        "seed of the held-out faces": 1,
        "accuracy": round(right.double().mean().item(), 4),
    }
    publish(out, "style-classifier", card | {"metrics": measured}, classifier)


def judge_of_people(out: Path, data_folder: Path | None) -> None:
    """Reads hair and head in faces of both styles; measured on faces that it never saw."""
    segmenter, card = trained_judge(both_styles(), metrics.train_segmenter, epochs=2, seed=0)
    held_out = both_styles(count=500, seed=1)
    batch = held_out.batch(torch.arange(len(held_out)))
    read = metrics.predict_maps(segmenter, batch["image"])
    score = metrics.segmentation_score(read, batch["label_map"], len(held_out.map_names))
    measured = {
        "held-out faces": len(held_out),
        "seed of the held-out faces": 1,
        "classes": list(held_out.map_names),
        "pixel accuracy": round(score.pixel_accuracy, 4),
        "IoU by class": by_class(held_out.map_names, score.class_iou),
    }
    publish(out, "people-segmenter", card | {"metrics": measured}, segmenter)


def by_class(names: Sequence[str], shares: torch.Tensor) -> dict[str, float]:
    """A share for each class of a label map."""
    return {name: round(share, 4) for name, share in zip(names, shares.tolist(), strict=True)}


def trained_judge(
    images: data.ImageSet, train: Callable[..., Judge] = metrics.train_classifier, **settings: Any
) -> tuple[Judge, dict[str, Any]]:
    """A judge, and all of its card but what is measured."""
    begin, work = time.perf_counter(), time.process_time()
    judge = train(images, **settings, progress=True)
    seconds, processor_seconds = time.perf_counter() - begin, time.process_time() - work
    return judge, {
        "method": type(judge).__name__.lower(),
        "config": dataclasses.asdict(judge.config),
        "data": {"name": images.name, "count": len(images), "sha256": images.digest},
        "settings": settings,
        "versions": versions(),
        "machine": machine(torch.device("cpu")),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
    }


def by_kind(right: torch.Tensor) -> dict[str, float]:
    """The share of right answers [N, kinds] for each kind of tag."""
    shares = right.double().mean(dim=0).tolist()
    return {kind: round(share, 4) for kind, share in zip(TAG_GROUPS, shares, strict=True)}


# ---- the generators ------------------------------------------------------------------------------


def judged_digits(method: methods.Method) -> dict[str, Any]:
    """What the classifier reads in samples, and whether they cover digits that no one trained on.

    One draw of 1,000 samples is right or wrong by some tenths of a percent, so there are ten of them.
    """
    classifier, _ = weights.load("digit-classifier")
    labels = torch.arange(SAMPLES) % 10
    draws = [
        method.sample(SAMPLES, labels=labels, rng=torch.Generator().manual_seed(seed))
        for seed in range(1, DRAWS + 1)
    ]
    by_class = torch.stack(
        [metrics.accuracy_by_class(metrics.predict(classifier, images), labels, 10) for images in draws]
    )
    shares = by_class.mean(dim=1)
    held_out = data.load("mnist-test", image_size=32).batch(torch.arange(1000))["image"]
    features = [metrics.embed(classifier, images) for images in (held_out, draws[0])]
    precision, recall = metrics.precision_recall(*features)
    return {
        "samples": SAMPLES,
        "draws": DRAWS,
        "read as asked": round(shares.mean().item(), 4),
        "read as asked, worst and best draw": [round(shares.min().item(), 4), round(shares.max().item(), 4)],
        "read as asked, by class": [round(share, 4) for share in by_class.mean(dim=0).tolist()],
        "precision (digit features, 1,000 held-out digits)": round(precision, 3),
        "recall (digit features, 1,000 held-out digits)": round(recall, 3),
    }


def judged_tags(
    method: methods.Method, judge: str = "face-classifier", style: str = "adventurer"
) -> dict[str, Any]:
    """What a classifier that had no part in the training reads in ten draws of samples, by kind of tag.

    It reads 64 x 64 pixels. Smaller images are enlarged, the real ones that they are compared with too.
    """
    classifier, _ = weights.load(judge)
    size, kind = method.config.image_size, "faces" if style == "adventurer" else style
    faces = data.load("faces", image_size=size, count=2000, seed=1, style=style)
    held_out = faces.batch(torch.arange(SAMPLES))
    real = enlarged(held_out["image"])
    right, distances = [], []
    for seed in range(1, DRAWS + 1):
        rng = torch.Generator().manual_seed(seed)
        asked = method.draw_tags(SAMPLES, rng)
        images = enlarged(method.sample(SAMPLES, labels=asked, rng=rng))
        right.append(metrics.predict(classifier, images) == asked)
        features = [metrics.embed(classifier, some) for some in (real, images)]
        distances.append(metrics.frechet_distance(*features))
    right = torch.cat(right)
    of_real = metrics.predict(classifier, real) == metrics.tag_numbers(held_out["tags"])
    return {
        "samples": SAMPLES * DRAWS,
        "tags as asked": by_kind(right),
        "all four tags as asked": round(right.all(dim=1).double().mean().item(), 4),
        "tags of held-out faces, read by the same judge": by_kind(of_real),
        f"FID-{kind} (1,000 samples, 1,000 held-out faces), mean": round(sum(distances) / DRAWS, 2),
        f"FID-{kind}, least and most": [round(min(distances), 2), round(max(distances), 2)],
    }


def judged_translations(method: methods.Method) -> dict[str, Any]:
    """What is made of held-out drawings or label maps: distance from the true faces, and what a segmenter
    that had no part in the training reads in them, beside what it reads in the true faces."""
    what = "input" if "input" in method.translates else "label_map"
    options = {"input": "outline"} if what == "input" else {"split_colours": True}
    plain = data.load("faces", image_size=method.config.image_size, count=SAMPLES, seed=1)
    asked = data.load("faces", image_size=method.config.image_size, count=SAMPLES, seed=1, **options)
    rows = torch.arange(SAMPLES)
    true, maps = plain.batch(rows)["image"], plain.batch(rows)["label_map"]
    made = method.sample(
        SAMPLES, inputs={what: asked.batch(rows)[what]}, rng=torch.Generator().manual_seed(1)
    )
    names = plain.map_names
    scores = [metrics.segmentation_score(metrics.segment(x), maps, len(names)) for x in (made, true)]
    features = metrics.features("faces")
    seen, real = features(made), features(true)
    colours = metrics.tag_numbers(plain.batch(rows)["tags"])
    return {
        "held-out faces": SAMPLES,
        "L1 distance from the true face": round((made - true).abs().mean().item(), 4),
        "distance in features of the face classifier": round(
            (seen.features - real.features).norm(dim=1).mean().item(), 3
        ),
        "mean IoU": round(scores[0].mean_iou, 4),
        "mean IoU of the true faces": round(scores[1].mean_iou, 4),
        "share of the true faces' mean IoU": round(scores[0].mean_iou / scores[1].mean_iou, 4),
        "IoU by class": by_class(names, scores[0].class_iou),
        "IoU by class, of the true faces": by_class(names, scores[1].class_iou),
        "tags of the true face": by_kind(seen.read == colours),
        "FID-faces": round(metrics.frechet_distance(real.features, seen.features), 2),
    }


def judged_domains(method: methods.Method) -> dict[str, Any]:
    """What is made of held-out faces of either style: is it the other style, and is it still this person?

    The judges had no part in the training: a classifier of styles that sees no colour, a segmenter that
    knows hair in both styles, and the features of the classifier of faces.
    """
    people, made = held_out_translations(method)
    distances = domain_distances(people["image"], made)
    maps = people["label_map"].split(SAMPLES)
    classifier, _ = weights.load("style-classifier")
    measured: dict[str, Any] = {"held-out faces of each style": SAMPLES}
    for source, (direction, images) in enumerate(made.items()):
        read = metrics.predict(classifier, greyed(images))
        share = (read == 1 - source).double().mean().item()
        measured[direction] = {
            "read as the other style": round(share, 4),
            **kept(images, maps[source]),
            **distances[direction],
        }
    return measured


def held_out_translations(method: methods.Method) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Faces of style A, then of style B, that no one trained on, as one batch; and by direction what the
    method makes of either half."""
    faces = data.load("faces", domains=STYLES, image_size=method.config.image_size, count=SAMPLES, seed=1)
    people = data.joined(faces).batch(torch.arange(2 * SAMPLES))
    made = {}
    for direction, images in zip(DIRECTIONS, people["image"].split(SAMPLES), strict=True):
        rng = torch.Generator().manual_seed(1)
        made[direction] = torch.cat([translated(method, part, direction, rng) for part in images.split(100)])
    return people, made


def domain_distances(images: torch.Tensor, made: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """KID of translations, and of the faces before, from faces of the other style, by direction."""
    features = metrics.features("faces")
    seen = [features(some).features for some in images.split(SAMPLES)]
    found = {}
    for source, direction in enumerate(DIRECTIONS):
        kid = kid_times_100(seen[1 - source], features(made[direction]).features)
        found[direction] = {
            "KID-faces x 100 (10 subsets of 500), mean": round(kid.mean, 3),
            "KID-faces x 100, standard deviation": round(kid.std, 3),
            "KID-faces x 100 of the faces before": round(
                kid_times_100(seen[1 - source], seen[source]).mean, 3
            ),
        }
    return found


def translated(method: methods.Method, images: torch.Tensor, direction: str, rng: torch.Generator):
    """The other style's version; where a method draws a style for each, by `rng`."""
    names = inspect.signature(method.translate).parameters
    if "direction" not in names:  # one generator for all domains: the wanted domain by its number
        wanted = torch.full((len(images),), int(direction == "AtoB"))
        return method.translate(images, wanted)
    return method.translate(images, direction=direction, **({"rng": rng} if "rng" in names else {}))


def kid_times_100(real: torch.Tensor, made: torch.Tensor) -> metrics.Estimate:
    """As papers on translation print it."""
    found = metrics.kernel_distance(real, made, subsets=10, subset_size=SAMPLES // 2)
    return metrics.Estimate(*(100 * value for value in found))


def kept(made: torch.Tensor, maps: torch.Tensor) -> dict[str, float]:
    """How far hair and head are where the source's label maps have them, beside what chance would give.

    Chance: the same translations, compared with the maps of other faces.
    """
    segmenter, card = weights.load("people-segmenter")
    hair = card["metrics"]["classes"].index("hair")
    read = metrics.predict_maps(segmenter, made)
    found = {}
    for name, of in (("hair", lambda x: x == hair), ("head", lambda x: x != 0)):
        for by, there in (("", maps), (", other faces", maps.roll(1, 0))):
            found[f"IoU of the {name}{by}"] = round(overlap(of(read), of(there)), 4)
    return found


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    """Intersection over union of two regions [N, H, W], mean over the images that have either."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return (both / either)[either > 0].double().mean().item()


def enlarged(images: torch.Tensor) -> torch.Tensor:
    """Images at the size that the judge of faces reads."""
    return F.interpolate(images, size=(64, 64), mode="bilinear", align_corners=False)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training run, and how its samples are judged."""

    method: str
    config: dict[str, Any]
    data: str
    data_options: dict[str, Any]
    settings: dict[str, Any]
    judge: Callable[[methods.Method], dict[str, Any]] = lambda method: {}
    joined: bool = False  # two domains as one set of images with labels

    def load(self, **changes: Any) -> data.ImageSet | data.UnpairedSet:
        """What it is trained on; with changes, other images of the kind."""
        images = data.load(self.data, **self.data_options | changes)
        return data.joined(images) if self.joined else images


COMMON = {"batch_size": 32, "precision": "bfloat16", "channels_last": True, "ema": 0.998, "decay": 0.5}

TRANSLATION = {
    "batch_size": 8,
    "precision": "bfloat16",
    "channels_last": True,
    "decay": 0.5,
    "sample_every": 250,
    "save_every": 500,
    "preview_count": 16,
}

GENERATORS = {
    # under five minutes on two CPU cores
    "cgan-mnist": Recipe(
        method="cgan",
        config={"ngf": 48, "ndf": 24, "noise": "normal", "learning_rate": 0.0004},
        data="mnist",
        data_options={"image_size": 32},
        settings=COMMON | {"epochs": 46, "sample_every": 1000, "save_every": 2000},
        judge=judged_digits,
    ),
    "dcgan-faces": Recipe(
        method="dcgan",
        config={"ngf": 32, "ndf": 16, "noise": "normal", "learning_rate": 0.0004},
        data="faces",
        data_options={"image_size": 64, "count": 5000},
        settings=COMMON | {"epochs": 24, "sample_every": 500, "save_every": 1000},
    ),
    "acgan-faces": Recipe(
        method="acgan",
        config={
            "image_size": 64,
            "variant": "separate_real",
            "class_weight": 5.0,
            "reading_weight": 10.0,
            "class_noise": 0.25,
            "class_channel_dropout": 0.75,
            "ngf": 32,
            "ndf": 24,
            "bottleneck": 256,
            "classifier_features": 64,
            "critic_steps": 2,
            "learning_rate": 0.0003,
        },
        data="faces",
        data_options={"image_size": 64, "count": 5000, "style": "avataaars"},
        settings=COMMON | {"steps": 6500, "sample_every": 325, "save_every": 500},
        judge=functools.partial(judged_tags, judge="avataaars-classifier", style="avataaars"),
    ),
    "pix2pix-faces": Recipe(
        method="pix2pix",
        config={
            "image_size": 64,
            "ngf": 12,
            "ndf": 32,
            "discriminator_layers": 2,
            "dropout_layers": 1,
            "learning_rate": 0.0005,
        },
        data="faces",
        data_options={"image_size": 64, "count": 5000, "input": "outline"},
        settings=TRANSLATION | {"steps": 7000, "ema": 0.999},
        judge=judged_translations,
    ),
}


for norm in ("spade", "clade"):
    GENERATORS[f"{norm}-faces"] = Recipe(
        method="spade",
        config={
            "norm": norm,
            "image_size": 64,
            "label_nc": 23,
            "ngf": 12,
            "most_features": 64,
            "spade_features": 16,
            "ndf": 16,
            "generator_learning_rate": 0.001,
            "discriminator_learning_rate": 0.002,
        },
        data="faces",
        data_options={"image_size": 64, "count": 5000, "split_colours": True},
        settings=TRANSLATION | {"steps": 3000, "ema": 0.995, "flip": True},
        judge=judged_translations,
    )

# Every method of unpaired translation on the same faces, for as many moves of the generators, and of about
# the same size: their table compares them.
DOMAINS = {"domains": STYLES, "image_size": 64, "count": 5000}
UNPAIRED = TRANSLATION | {"batch_size": 2, "steps": 5000, "ema": 0.995, "preview_count": 8}
MUNITS = {"image_size": 64, "ndf": 24, "layers": 3, "scales": 2, "learning_rate": 0.0004}
for name, config in {
    "cyclegan": {"image_size": 64, "ngf": 24, "blocks": 3, "ndf": 32, "layers": 2, "learning_rate": 0.0004},
    "unit": MUNITS | {"ngf": 18, "blocks": 3},
    "munit": MUNITS | {"ngf": 16, "blocks": 2, "mlp_features": 64},
    "ugatit": {
        "image_size": 64,
        "light": True,
        "ngf": 16,
        "ndf": 32,
        "blocks": 3,
        "discriminator_layers": 5,
        "learning_rate": 0.0003,
    },
}.items():
    GENERATORS[f"{name}-faces"] = Recipe(
        method=name,
        config=config,
        data="faces",
        data_options=DOMAINS,
        settings=UNPAIRED,
        judge=judged_domains,
    )
GENERATORS["stargan-faces"] = Recipe(
    method="stargan",
    config={
        "image_size": 64,
        "num_classes": 2,
        "ngf": 28,
        "blocks": 3,
        "ndf": 24,
        "layers": 5,
        "critic_steps": 2,
        "learning_rate": 0.0004,
    },
    data="faces",
    data_options=DOMAINS,
    joined=True,
    # a batch of four faces is two of each style, and every second step moves the generator
    settings=UNPAIRED | {"batch_size": 4, "steps": 10000, "sample_every": 500, "precision": "float32"},
    judge=judged_domains,
)

# The homework's experiments with tags, at a size that two cores can train: as many moves of G in each.
EXPERIMENT = {
    "image_size": 32,
    "ngf": 24,
    "ndf": 24,
    "bottleneck": 192,
    "classifier_features": 64,
    "learning_rate": 0.0004,
}
for number, variant in enumerate(("joint_real", "joint_both", "separate"), 1):
    GENERATORS[f"acgan-experiment-{number}"] = Recipe(
        method="acgan",
        config=EXPERIMENT | {"variant": variant, "game": "non_saturating", "critic_steps": 1},
        data="faces",
        data_options={"image_size": 32, "count": 5000},
        settings=COMMON | {"steps": 2500, "sample_every": 125, "save_every": 1250},
        judge=judged_tags,
    )
GENERATORS["acgan-experiment-wasserstein"] = Recipe(
    method="acgan",
    config=EXPERIMENT | {"variant": "separate", "game": "wasserstein", "critic_steps": 2},
    data="faces",
    data_options={"image_size": 32, "count": 5000},
    settings=COMMON | {"steps": 5000, "sample_every": 250, "save_every": 2500},
    judge=judged_tags,
)


def train_generator(name: str, out: Path) -> None:
    """Trains by the recipe of that name, or goes on where an earlier call was stopped."""
    recipe = GENERATORS[name]
    images = recipe.load()
    torch.manual_seed(0)
    method = methods.build(recipe.method, **recipe.config)
    held_out = None
    if method.translates:
        held_out = recipe.load(count=64, seed=1)
    run = training.train(
        method, images, out / "runs" / name, resume=True, progress=True, held_out=held_out, **recipe.settings
    )
    publish_run(run, name, out, recipe.judge(run.method))


# ---- records: what was measured in many runs, without their weights --------------------------------

VARIANTS = {
    "AdaLIN, CAM": {},
    "IN, CAM": {"norm": "instance"},
    "LN, CAM": {"norm": "layer"},
    "AdaIN, CAM": {"norm": "adain"},
    "GN, CAM": {"norm": "group"},
    "AdaLIN, no CAM": {"attention": "none"},
    "AdaLIN, CAM only in G": {"attention": "generators"},
    "AdaLIN, CAM only in D": {"attention": "discriminators"},
    "no cycle loss": {"cycle_weight": 0.0},
    "no identity loss": {"identity_weight": 0.0},
    "no CAM loss": {"cam_weight": 0.0},
}
VARIANT_SIZE = {"image_size": 32, "ndf": 16, "discriminator_layers": 4}  # eleven runs are to end
VARIANT_STEPS = 2500
VARIANT_SEEDS = (0,)
SHOWN = 8  # faces of a row


def variants_of_ugatit(out: Path, data_folder: Path | None) -> None:
    """U-GAT-IT with one thing changed at a time: norms, attention, losses. What each run measured, and what
    the first seed's runs make of the same faces. Called again, it goes on where it was stopped."""
    shipped = GENERATORS["ugatit-faces"]
    config = shipped.config | VARIANT_SIZE
    settings = shipped.settings | {"steps": VARIANT_STEPS, "sample_every": VARIANT_STEPS}
    images = shipped.load(image_size=config["image_size"])
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    rows: dict[str, torch.Tensor] = {}
    for seed, (name, changes) in itertools.product(VARIANT_SEEDS, VARIANTS.items()):
        torch.manual_seed(seed)
        method = methods.build("ugatit", **config | changes)
        folder = out / "runs" / f"ugatit-{name.replace(', ', '-').replace(' ', '-')}-{seed}"
        run = training.train(method, images, folder, seed=seed, resume=True, progress=True, **settings)
        people, made = held_out_translations(run.method)
        found = domain_distances(people["image"], made) | translator_errors(run.method, people, made)
        measured[name].append({"seed": seed, "seconds": run.card["seconds"]} | found)
        if seed == VARIANT_SEEDS[0]:
            first = made["AtoB"][:SHOWN]
            rows |= {"image": people["image"][:SHOWN], name: first}
            rows[f"{name}, and back"] = run.method.translate(first, "BtoA")
    card = {
        "method": "ugatit",
        "config": config,
        **{key: run.card[key] for key in ("data", "settings", "versions", "machine")},
        "parameters of a generator": {n: generator_size(config | c) for n, c in VARIANTS.items()},
        "rows": list(rows),
        "metrics": measured,
    }
    publish_record(out, "ugatit-variants", card, rows)


@torch.no_grad()
def translator_errors(
    method: methods.Method, people: dict[str, torch.Tensor], made: dict[str, torch.Tensor]
) -> dict[str, float]:
    """Mean absolute differences that the cycle and the identity loss are about, both domains together, and
    how often the generators' CAM classifiers know a face's domain."""
    faces = dict(zip(DIRECTIONS, people["image"].split(SAMPLES), strict=True))
    back = {"AtoB": "BtoA", "BtoA": "AtoB"}
    cycle, identity, right = [], [], []
    for direction, images in faces.items():
        network = method.generator_ab if direction == "AtoB" else method.generator_ba
        for rows in torch.arange(SAMPLES).split(100):
            returned = method.translate(made[direction][rows], back[direction])
            cycle.append((returned - images[rows]).abs().mean())
            same = method.translate(images[rows], back[direction])
            identity.append((same - images[rows]).abs().mean())
            if method.config.attention in ("both", "generators"):
                for way, is_source in ((direction, True), (back[direction], False)):
                    logits = network(faces[way][rows]).logits
                    right.append(((logits > 0) == is_source).double().mean())
    found = {"way back": cycle, "identity": identity, "classifiers right": right}
    return {name: round(torch.stack(some).mean().item(), 4) for name, some in found.items() if some}


def generator_size(config: dict[str, Any]) -> int:
    """Parameters of one of U-GAT-IT's two generators."""
    with torch.device("meta"):
        method = methods.build("ugatit", **config)
    return sum(parameter.numel() for parameter in method.generator_ab.parameters())


def publish_record(out: Path, name: str, card: dict[str, Any], rows: dict[str, torch.Tensor]) -> None:
    """Writes the card, and the rows of images under each other as one picture."""
    strips = torch.stack([torch.cat(list(images), dim=2) for images in rows.values()])
    pixels = ((torch.cat(list(strips), dim=1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(out / f"{name}.png", optimize=True)
    write(out / f"{name}.json", card)


RECORDS = {"ugatit-variants": variants_of_ugatit}


def publish_run(run: training.Run, name: str, out: Path, measured: dict[str, Any]) -> None:
    """Copies generator, card and log out of a run, with ten (at most) of the sample grids on its way."""
    grids = run.samples
    kept = [grids[k] for k in sorted({round(place * (len(grids) - 1) / 9) for place in range(10)})]
    pictures = [Image.open(path).convert("RGB") for _, path in kept]
    row = run.card["config"]["image_size"] + 2
    height = min(pictures[0].height, max(row, round(pictures[0].height / 4)))  # two rows of eight, one of one
    strip = Image.new("RGB", (pictures[0].width, len(pictures) * height))
    for place, picture in enumerate(pictures):
        strip.paste(picture.crop((0, 0, picture.width, height)), (0, place * height))
    strip.save(out / f"{name}.progress.jpg", quality=90)
    shutil.copy(run.path / "generator.safetensors", out / f"{name}.safetensors")
    shutil.copy(run.path / "log.csv", out / f"{name}.log.csv")
    write(out / f"{name}.json", run.card | {"metrics": measured, "progress": [step for step, _ in kept]})


def publish(out: Path, name: str, card: dict[str, Any], network: torch.nn.Module) -> None:
    """Writes the weights and the card of a judge."""
    save_weights(out / f"{name}.safetensors", network)
    write(out / f"{name}.json", card)


def write(path: Path, card: dict[str, Any]) -> None:
    """The card, and on the screen what was measured."""
    path.write_text(json.dumps(card, indent=2) + "\n")
    print(f"{path}: {json.dumps(card['metrics'], indent=2)}")


JUDGES = {
    "digit-classifier": judge_of_digits,
    "face-classifier": judge_of_faces,
    "avataaars-classifier": functools.partial(judge_of_faces, name="avataaars-classifier", style="avataaars"),
    "face-segmenter": judge_of_maps,
    "style-classifier": judge_of_styles,
    "people-segmenter": judge_of_people,
}
RECIPES = [*JUDGES, *GENERATORS]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gan_course.weights", description=__doc__)
    parser.add_argument("name", choices=[*RECIPES, *RECORDS])
    parser.add_argument("--out", type=Path, default=weights.FOLDER, help="where the weights and the card go")
    parser.add_argument("--data-folder", type=Path, help="where mnist-full lies or is downloaded to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    whole = JUDGES | RECORDS
    if options.name in whole:
        whole[options.name](options.out, options.data_folder)
    else:
        train_generator(options.name, options.out)


if __name__ == "__main__":
    main()
