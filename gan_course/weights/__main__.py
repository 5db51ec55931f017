"""Trains one of the shipped weights again: python -m gan_course.weights NAME [--out FOLDER]."""

import argparse
import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gan_course import data, methods, metrics, training, weights
from gan_course.data.faces import TAG_GROUPS
from gan_course.metrics import Classifier
from gan_course.training.run import machine, save_weights, versions

SAMPLES = 1000
DRAWS = 10


def make_digit_classifier(out: Path) -> None:
    """The judge of digits, from the 5,000 embedded ones; measured on digits that it never saw."""
    digits = data.load("mnist", image_size=32)
    begin = time.perf_counter()
    classifier = metrics.train_classifier(digits, epochs=25, progress=True)
    seconds = time.perf_counter() - begin
    card = {
        "method": "classifier",
        "config": dataclasses.asdict(classifier.config),
        "data": {"name": digits.name, "count": len(digits), "sha256": digits.digest},
        "settings": {"epochs": 25, "seed": 0},
        "versions": versions(),
        "machine": machine(torch.device("cpu")),
        "seconds": round(seconds, 1),
        "metrics": judge_accuracy(classifier),
    }
    save_weights(out / "digit-classifier.safetensors", classifier)
    write(out / "digit-classifier.json", card)


def judge_accuracy(classifier: Classifier) -> dict:
    """Accuracy on the 1,000 held-out digits of the package, and on all 10,000 where they can be had."""
    result = {}
    for name, options in (("mnist-test", {}), ("mnist-full", {"split": "test"})):
        try:
            digits = data.load(name, image_size=32, **options)
        except OSError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        batch = digits.batch(torch.arange(len(digits)))
        right = metrics.predict(classifier, batch["image"]) == batch["label"]
        result[f"accuracy on {name}"] = round(right.double().mean().item(), 4)
        result[f"digits in {name}"] = len(digits)
    return result


def make_face_classifier(out: Path) -> None:
    """The judge of faces, which reads their tags; measured on faces of another seed, which it never saw."""
    faces = data.load("faces", image_size=64, count=5000)
    settings = {"epochs": 25, "features": 24, "seed": 0}
    begin = time.perf_counter()
    classifier = metrics.train_classifier(faces, **settings, progress=True)
    seconds = time.perf_counter() - begin
    held_out = data.load("faces", image_size=64, count=2000, seed=1)
    batch = held_out.batch(torch.arange(len(held_out)))
    right = metrics.predict(classifier, batch["image"]) == metrics.tag_numbers(batch["tags"])
    shares = dict(zip(TAG_GROUPS, right.double().mean(dim=0).tolist(), strict=True))
    card = {
        "method": "classifier",
        "config": dataclasses.asdict(classifier.config),
        "data": {"name": faces.name, "count": len(faces), "sha256": faces.digest},
        "settings": settings,
        "versions": versions(),
        "machine": machine(torch.device("cpu")),
        "seconds": round(seconds, 1),
        "metrics": {
            "held-out faces": len(held_out),
            "seed of the held-out faces": 1,
            **{f"accuracy, {kind}": round(share, 4) for kind, share in shares.items()},
            "accuracy, all four": round(right.all(dim=1).double().mean().item(), 4),
        },
    }
    save_weights(out / "face-classifier.safetensors", classifier)
    write(out / "face-classifier.json", card)


def make_cgan_mnist(out: Path) -> None:
    """The conditional DCGAN of the book: under five minutes on two CPU cores."""
    digits = data.load("mnist", image_size=32)
    torch.manual_seed(0)
    method = methods.build("cgan", ngf=48, ndf=24, noise="normal", learning_rate=0.0004)
    run = training.train(
        method,
        digits,
        out / "runs" / "cgan-mnist",
        epochs=49,
        batch_size=32,
        precision="bfloat16",
        channels_last=True,
        ema=0.998,
        decay=0.5,
        sample_every=1000,
        save_every=2000,
        resume=True,
        progress=True,
    )
    publish(run, "cgan-mnist", out, judge_digits(run.method))


def judge_digits(method: methods.Method) -> dict:
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


def make_dcgan_faces(out: Path) -> None:
    """DCGAN on cartoon faces of 64 x 64 pixels."""
    faces = data.load("faces", image_size=64, count=5000)
    torch.manual_seed(0)
    method = methods.build("dcgan", ngf=32, ndf=32, noise="normal", learning_rate=0.0004)
    run = training.train(
        method,
        faces,
        out / "runs" / "dcgan-faces",
        epochs=16,
        batch_size=32,
        precision="bfloat16",
        channels_last=True,
        ema=0.998,
        decay=0.5,
        sample_every=500,
        resume=True,
        progress=True,
    )
    publish(run, "dcgan-faces", out, {})


def publish(run: training.Run, name: str, out: Path, measured: dict) -> None:
    """Copies the generator and its card out of a run."""
    shutil.copy(run.path / "generator.safetensors", out / f"{name}.safetensors")
    write(out / f"{name}.json", run.card | {"metrics": measured})


def write(path: Path, card: dict) -> None:
    """The card, and on the screen what was measured."""
    path.write_text(json.dumps(card, indent=2) + "\n")
    print(f"{path}: {json.dumps(card['metrics'], indent=2)}")


RECIPES: dict[str, Callable[[Path], None]] = {
    "digit-classifier": make_digit_classifier,
    "face-classifier": make_face_classifier,
    "cgan-mnist": make_cgan_mnist,
    "dcgan-faces": make_dcgan_faces,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gan_course.weights", description=__doc__)
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, default=weights.FOLDER, help="where the weights and the card go")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    RECIPES[options.name](options.out)


if __name__ == "__main__":
    main()
