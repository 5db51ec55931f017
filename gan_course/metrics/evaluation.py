"""Scores of a generator: several draws of samples, compared with images that it was not trained on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_course import data
from gan_course.metrics.classifier import tag_numbers
from gan_course.metrics.distances import frechet_distance, inception_score, kernel_distance
from gan_course.metrics.extractors import Embedded, Features, join
from gan_course.metrics.extractors import features as load_features
from gan_course.metrics.manifold import density_coverage, precision_recall

METRICS = ("fid", "kid", "is", "prdc", "tags")
AT_LEAST = 10  # samples in a draw: the Inception score splits them into ten parts
CHUNK = 500  # images that are drawn, looked at and forgotten at once
HELD_OUT_SEED = 1  # of faces; runs are trained on those of seed 0

Part = tuple[Tensor, Tensor | None]
"""Images [n, C, H, W] in [-1, 1], and what was asked for: [n, kinds] or None."""
Draw = Callable[[int, int], Iterator[Part]]
"""(count, seed) -> that many images, part by part, so that they need not be in memory together."""


class Data(NamedTuple):
    """What a run is compared with."""

    reference: data.ImageSet | data.StreamedSet
    """Real images, none of which the run was trained on where the data set has such."""
    held_out: bool
    """Whether the reference is such."""
    training: data.ImageSet | None
    """Other real images, as many as the run was trained on, to see how real images themselves score."""


# ---- real images ---------------------------------------------------------------------------------


def data_of(card: dict[str, Any], count: int, folder: str | None = None, **options) -> Data:
    """Real images of the kind that the run of that card was trained on, `count` of them where they are drawn.

    Args:
        card: of the run.
        count: how many faces to draw.
        folder: a data set or a folder of images to take instead.
        options: for `data.load`.

    Raises:
        ValueError: the run was trained on data that cannot be found by their name.
    """
    about = card["data"]
    name, size = about["name"], {"image_size": about["image_size"]} | options
    if folder is not None:
        if folder not in data.names():
            size["channels"] = about["channels"]
        return Data(data.load(folder, **size), held_out=False, training=None)
    if name == "mnist":
        return Data(data.load("mnist-test", **size), held_out=True, training=data.load("mnist", **size))
    if name == "mnist-full-train":
        return Data(data.load("mnist-full", split="test", **size), held_out=True, training=None)
    if name.startswith("faces-"):
        size["style"] = name.removeprefix("faces-")
        reference = data.load("faces", count=count, seed=HELD_OUT_SEED, **size)
        return Data(reference, held_out=True, training=data.load("faces", count=about["count"], **size))
    raise ValueError(
        f"the run was trained on {name!r}, which is no data set of the package; "
        f"name the folder of its images (--data FOLDER)"
    )


def features_of(images: data.ImageSet | data.StreamedSet) -> str:
    """The name of the features that fit a data set. Raises ValueError where none was made for it."""
    if images.name.startswith("mnist"):
        return "digits"
    if images.name.startswith("faces-"):
        return "avataaars" if images.name == "faces-avataaars" else "faces"
    raise ValueError(
        f"no features of the package were made for {images.name!r}; "
        "choose: digits, faces, avataaars or inception"
    )


def judge_for(
    method, images: data.ImageSet | data.StreamedSet, features: Features, device: torch.device | str = "cpu"
) -> Features | None:
    """What reads the labels or tags that a conditional method is told; None where nothing can.

    `features` themselves where they are able to, so that they look once.
    """
    name = None
    if "label" in method.needs and images.name.startswith("mnist"):
        name = "digits"
    elif "tags" in method.needs and images.name in ("faces-adventurer", "faces-avataaars"):
        name = features_of(images)
    if name is None or name == features.name:
        return features if name else None
    return load_features(name, device)


def default_metrics(judge: Features | None) -> list[str]:
    """All metrics that apply."""
    return [name for name in METRICS if judge is not None or name != "tags"]


# ---- drawing -------------------------------------------------------------------------------------


def asked_of(batch: dict[str, Tensor]) -> Tensor | None:
    """The labels [N, 1] or tags [N, kinds] of a batch; None where it has neither."""
    if "label" in batch:
        return batch["label"][:, None]
    return tag_numbers(batch["tags"]) if "tags" in batch else None


def target_of(batch: dict[str, Tensor]) -> Tensor:
    """The images of a batch that a method should make: those of domain B where there are two domains."""
    return batch["image_b"] if "image_b" in batch else batch["image"]


def draw_of(method, reference: data.ImageSet | data.StreamedSet | data.UnpairedSet) -> Draw:
    """Samples of a method; a conditional one is asked for labels or tags as the reference has them, and one
    that translates starts from what the reference holds."""
    told = next((name for name in ("label", "tags") if name in method.needs), None)

    def draw(count: int, seed: int) -> Iterator[Part]:
        rng = torch.Generator().manual_seed(seed)
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            if method.translates:
                batch = reference.batch(torch.randint(len(reference), (size,), generator=rng))
                yield method.sample(size, inputs=batch, rng=rng).cpu(), None
                continue
            if told is None:
                yield method.sample(size, rng=rng).cpu(), None
                continue
            batch = reference.batch(torch.randint(len(reference), (size,), generator=rng))
            asked = asked_of({told: batch[told].cpu()})
            labels = asked if told == "tags" else asked[:, 0]
            yield method.sample(size, labels=labels, rng=rng).cpu(), asked

    return draw


def draw_real(images: data.ImageSet) -> Draw:
    """Images of a data set, each once: how real images score. Raises ValueError for more than there are."""

    def draw(count: int, seed: int) -> Iterator[Part]:
        if count > len(images):
            raise ValueError(f"{count} images are asked for; {images.name} has {len(images)}")
        for rows in data.epoch_order(len(images), seed, 0)[:count].split(CHUNK):
            batch = images.batch(rows)
            yield batch["image"], asked_of(batch)

    return draw


def embed_draw(
    draw: Draw, count: int, seed: int, features: Features, judge: Features | None
) -> tuple[Embedded, Tensor | None]:
    """What the features make of `count` images, and where a judge looks on, whether it reads what was asked.

    The second is [count, kinds], True where it does.
    """
    seen, right = [], []
    for images, asked in draw(count, seed):
        seen.append(features(images))
        if judge is not None:
            read = seen[-1].read if judge is features else judge(images).read
            right.append(read == asked)
    return join(seen), torch.cat(right) if right else None


def embed_all(images: data.ImageSet | data.StreamedSet, features: Features) -> Embedded:
    """What the features make of a whole data set."""
    parts = torch.arange(len(images)).split(CHUNK)
    return join([features(target_of(images.batch(rows))) for rows in parts])


# ---- scoring -------------------------------------------------------------------------------------


def score(
    real: Embedded, fake: Embedded, name: str, metrics: Sequence[str], seed: int = 0
) -> dict[str, dict[str, float]]:
    """Each metric of one draw: {"FID-digits": {"value": ...}, "KID-digits": {"value": ..., "std": ...}}."""
    found: dict[str, dict[str, float]] = {}
    if "fid" in metrics:
        found[f"FID-{name}"] = {"value": frechet_distance(real.features, fake.features)}
    if "kid" in metrics:
        # half of the smaller set, so that subsets differ; the estimate has no bias that depends on the size
        size = min(1000, min(len(real.features), len(fake.features)) // 2)
        kernel = kernel_distance(real.features, fake.features, subset_size=size, seed=seed)
        found[f"KID-{name}"] = {"value": kernel.mean, "std": kernel.std}
    if "is" in metrics:
        inception = inception_score(fake.probabilities)
        found[f"IS-{name}"] = {"value": inception.mean, "std": inception.std}
    if "prdc" in metrics:
        values = (
            *precision_recall(real.features, fake.features),
            *density_coverage(real.features, fake.features),
        )
        names = ("precision", "recall", "density", "coverage")
        found |= {f"{n}-{name}": {"value": value} for n, value in zip(names, values, strict=True)}
    return found


def shares(right: Tensor, kinds: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """How often the judge reads what was asked for: {"read as asked": ...}, or by kind of tag and in all."""
    if len(kinds) == 1:
        return {"read as asked": {"value": right.double().mean().item()}}
    found = {
        f"read as asked, {kind}": {"value": share}
        for kind, share in zip(kinds, right.double().mean(dim=0).tolist(), strict=True)
    }
    return found | {"read as asked, all": {"value": right.all(dim=1).double().mean().item()}}


def evaluate(
    draw: Draw,
    reference: data.ImageSet | data.StreamedSet,
    features: Features,
    *,
    metrics: Sequence[str] = ("fid", "kid", "is", "prdc"),
    judge: Features | None = None,
    count: int = 5000,
    draws: int = 3,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Scores a generator by several draws of `count` samples each, as an entry "metrics" of a run card.

    Args:
        draw: what makes samples: `draw_of(method, reference)`, or `draw_real(images)` for a scale.
        reference: real images to compare with.
        features: what to compare them by.
        metrics: some of "fid", "kid", "is", "prdc", "tags".
        judge: reads what was asked for, for "tags".
        count: samples in a draw.
        draws: how many draws; their seeds are seed, seed + 1, ...
        seed: of the first draw.

    Returns:
        by name (with that of the features): "value", the mean over the draws; "lowest" and "highest" draw;
        "std", the mean spread over the subsets of a draw where a metric takes subsets; and how it was
        measured: "samples", "draws", "seed", "features", "reference", "reference images".

    Raises:
        ValueError: an unknown metric, too few samples, or "tags" without a judge.
    """
    check(metrics, judge, count, draws)
    wanted_judge = judge if "tags" in metrics else None
    real = embed_all(reference, features)
    found: list[dict[str, dict[str, float]]] = []
    for number in range(seed, seed + draws):
        fake, right = embed_draw(draw, count, number, features, wanted_judge)
        one = score(real, fake, features.name, metrics, number)
        found.append(one if right is None else one | shares(right, wanted_judge.kinds))
    measured = {
        "samples": count,
        "draws": draws,
        "seed": seed,
        "reference": reference.name,
        "reference images": len(reference),
    }
    scores = {}
    for name in found[0]:
        seen_by = wanted_judge if name.startswith("read as asked") else features
        scores[name] = summary([one[name] for one in found]) | measured | {"features": seen_by.name}
    return scores


def check_names(metrics: Sequence[str]) -> None:
    """Raises ValueError for a name that is no metric, listing those that are."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        named = ", ".join(unknown) or "(none given)"
        raise ValueError(f"unknown metric {named}; known metrics: {', '.join(METRICS)}")


def check(metrics: Sequence[str], judge: Features | None, count: int, draws: int) -> None:
    """Raises ValueError for what cannot be evaluated."""
    check_names(metrics)
    if count < AT_LEAST:
        raise ValueError(f"{count} samples are too few; take {AT_LEAST} or more")
    if draws < 1:
        raise ValueError(f"draws is {draws}; it must be 1 or more")
    if "tags" in metrics and judge is None:
        raise ValueError(
            "the metric tags needs a method that is told labels or tags, of digits or faces that a judge of "
            "the package can read"
        )


def summary(of_draws: list[dict[str, float]]) -> dict[str, float]:
    """Mean, lowest and highest over the draws; the mean of the spreads over subsets."""
    values = [one["value"] for one in of_draws]
    found = {"value": sum(values) / len(values), "lowest": min(values), "highest": max(values)}
    if "std" in of_draws[0]:
        found["std"] = sum(one["std"] for one in of_draws) / len(of_draws)
    return {name: float(f"{value:.5g}") for name, value in found.items()}
