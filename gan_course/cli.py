"""The command line: gan-course train | sample | translate | evaluate | export | bench | data | methods
| homework.

Options of a method and of a run are the fields of their dataclasses, with the help that stands there.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gan_course import __version__, data, methods, metrics, training
from gan_course.data import pairs
from gan_course.data.faces import STYLES
from gan_course.data.folders import PAIRS
from gan_course.grading.cli import add_homework
from gan_course.methods import Method
from gan_course.metrics import evaluation, extractors
from gan_course.training import TrainingSettings, bench, distributed
from gan_course.training.run import write_card
from gan_course.training.settings import choose_device
from gan_course.translation import DIRECTIONS, translate_folder

Images = data.ImageSet | data.StreamedSet | data.UnpairedSet
MEASURED = 1000  # samples behind a line of fid.csv

EXAMPLES = """examples:
  gan-course train cgan --data mnist --out runs/digits --epochs 60 --ema 0.995
  gan-course train dcgan --data faces --image-size 64 --out runs/faces --steps 5000
  gan-course train dcgan -i photos -r runs/photos -e 25 -is 64 -bs 128
  gan-course train cgan --data mnist --out runs/digits --epochs 60 --ema 0.995 --resume
  gan-course train pix2pix --data faces --input outline --image-size 64 --out runs/outlines
  gan-course train spade --image-dir photos --label-dir maps --label-nc 19 --name streets
  gan-course train ugatit --data faces --light --image-size 64 --discriminator-layers 0 --out runs/styles
  gan-course sample runs/digits --n 100 --out digits.png
  gan-course translate runs/styles --direction AtoB --input faces --out lorelei
  gan-course evaluate runs/digits --n 5000
  gan-course export runs/digits --format onnx --out digits.onnx
  gan-course bench dcgan --image-size 64 --precision bfloat16 --channels-last
  torchrun --nproc-per-node 2 -m gan_course.cli train dcgan --data faces --out runs/faces
  gan-course data render faces --n 1000 --size 64 --out faces
"""

# The options of the classic DCGAN tutorial script, by the field that each one sets.
CLASSIC_DCGAN = {
    "data": ("-i", "--input"),
    "out": ("-r", "--results"),
    "epochs": ("-e",),
    "learning_rate": ("-lr", "--learning_rate"),
    "image_size": ("-is", "--img_size"),
    "batch_size": ("-bs", "--batch_size"),
    "noise_size": ("-nz", "--size_vector_z"),
    "channels": ("-nc", "--num_channels"),
    "ngf": ("-ngf", "--size_feature_g"),
    "ndf": ("-ndf", "--size_feature_d"),
    "beta1": ("-b", "--beta"),
    "gpus": ("-ng", "--ngpu"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0 done, 1 it could not be done, 130 stopped by Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except training.Interrupted as stopped:
        complain(f"\n{stopped}")
        return 130
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError, ModuleNotFoundError, training.Diverged) as error:
        complain(f"gan-course: {error}")
        return 1
    return 0


def complain(text: str) -> None:
    """One message, however many processes torchrun has started."""
    if distributed.rank() == 0:
        print(text, file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="gan-course",
        description="Generative adversarial networks: train, sample, look at the data.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"gan-course {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_train(commands)
    add_sample(commands)
    add_translate(commands)
    add_evaluate(commands)
    add_export(commands)
    add_bench(commands)
    add_data(commands)
    add_homework(commands)
    listing = commands.add_parser("methods", help="list the methods", description="List the methods.")
    listing.set_defaults(run=run_methods)
    return top


# ---- train ---------------------------------------------------------------------------------------


def add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train a method", description="Train a method.")
    chosen = train.add_subparsers(title="methods", required=True, metavar="METHOD")
    for name in methods.names():
        add_train_method(chosen, methods.method_class(name))


def add_train_method(chosen: argparse._SubParsersAction, method: type[Method]) -> None:
    aliases = CLASSIC_DCGAN if method.name == "dcgan" else {}
    command = chosen.add_parser(
        method.name,
        help=method.paper,
        description=f"{method.paper}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    run = command.add_argument_group("the run")
    run.add_argument("--data", *aliases.get("data", ()), metavar="NAME|FOLDER",
                     default="mnist" if method.translates == () else "faces",
                     help=f"data to train on: {', '.join(data.names())}, or a folder of images")  # fmt: skip
    place = run.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", *aliases.get("out", ()), metavar="FOLDER", type=Path,
                       help="where the run goes")  # fmt: skip
    place.add_argument("--name", help="name of the run, which then goes to runs/NAME")
    run.add_argument(
        "--resume", action="store_true", default=False, help="go on from the last checkpoint in --out"
    )
    run.add_argument(
        "-s", "--show", action="store_true", default=False, help="show the last sample grid at the end"
    )
    run.add_argument("--features", choices=list(extractors.EXTRACTORS),
                     help="what --measure-every compares by (default: those made for the data)")  # fmt: skip
    add_fields(run, TrainingSettings, aliases)

    add_source(command.add_argument_group("the data"), method)
    add_fields(command.add_argument_group("the method"), method.config_class, aliases)
    command.set_defaults(run=run_train, method=method)


def kind_of_data(method: type[Method]) -> str:
    """What a method is trained on: "images", "pairs" of input or label map and image, or two "domains"."""
    if isinstance(method.needs, tuple) and "image_b" in method.needs:
        return "domains"
    fields = {field.name for field in dataclasses.fields(method.config_class)}
    return "pairs" if fields & {"input_channels", "label_nc"} else "images"


def add_source(source: argparse._ArgumentGroup, method: type[Method]) -> None:
    """What may be said of the data beside their name."""
    source.add_argument(
        "--data-folder", metavar="FOLDER", type=Path, help="where a named data set lies or is downloaded to"
    )
    source.add_argument("--count", type=int, help="how many faces to draw")
    source.add_argument("--load-size", type=int, metavar="PIXELS",
                        help="size that images are read at, to be cropped to --crop-size")  # fmt: skip
    kind = kind_of_data(method)
    if kind == "images":
        source.add_argument("--style", help=f"style of the faces: {', '.join(STYLES)}")
        return
    if kind == "domains":
        source.add_argument("--domains", nargs=2, metavar="STYLE", default=["adventurer", "lorelei"],
                            help=f"two styles of faces: {', '.join(STYLES)}")  # fmt: skip
        return
    source.add_argument("--input", metavar="KIND", default="outline",
                        help=f"what faces are made from: {', '.join(pairs.KINDS)}")  # fmt: skip
    source.add_argument("--split-colours", action=argparse.BooleanOptionalAction, default=True,
                        help="classes of faces by colour: blond hair, brown hair, ...")  # fmt: skip
    source.add_argument("--pairs", choices=PAIRS, help="how a folder holds pairs of input and image")
    for name, what in (("image", "images"), ("label", "label maps"), ("instance", "instance maps")):
        source.add_argument(f"--{name}-dir", metavar="FOLDER", type=Path, help=f"folder of {what}")


def add_fields(
    group: argparse._ArgumentGroup,
    config: type,
    aliases: dict[str, tuple[str, ...]],
    only: Sequence[str] | None = None,
) -> None:
    """One option per field of a dataclass. What the user does not give stays out of the result."""
    for field in dataclasses.fields(config):
        if only is not None and field.name not in only:
            continue
        flags = ["--" + field.name.replace("_", "-"), *aliases.get(field.name, ())]
        words: dict[str, Any] = {
            "dest": field.name,
            "help": f"{field.metadata['help']} (default: {field.default})",
        }
        if isinstance(field.default, bool):
            words["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            words |= {"nargs": "+", "type": type(field.default[0]), "metavar": "N"}
        else:
            words |= {"type": type(field.default), "metavar": type(field.default).__name__.upper()}
        group.add_argument(*flags, default=argparse.SUPPRESS, **words)


def given(options: argparse.Namespace, config: type) -> dict[str, Any]:
    """The fields of a dataclass that the user gave."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(options).items() if name in names}


def run_train(options: argparse.Namespace) -> None:
    fields = given(options, options.method.config_class)
    settings_given = given(options, TrainingSettings)
    if settings_given.get("gpus") == 0:
        settings_given |= {"gpus": 1, "device": "cpu"}
    if settings_given.get("crop_size"):  # what the method sees is what is cut out
        fields = {"image_size": settings_given["crop_size"]} | fields
        if getattr(options, "load_size", settings_given["crop_size"]) == settings_given["crop_size"]:
            settings_given["crop_size"] = 0
    settings = TrainingSettings(**settings_given)
    images = load_data(options, fields)
    held_out = load_held_out(options, fields, settings)
    torch.manual_seed(settings.seed)
    method = methods.build(options.method.name, **fitted_to(images, options.method.config_class, fields))
    measure = None
    if settings.measure_every:
        measure = measure_by(held_out or images, settings, getattr(options, "features", None))
    out = options.out if "out" in options else Path("runs") / options.name
    run = training.train(
        method, images, out, settings, resume=options.resume, held_out=held_out, measure=measure
    )
    if distributed.rank() > 0:
        return
    card = run.card
    print(f"{run.path}: step {card['step']}, {card['seconds']:.0f} s, {card['images_per_second']} images/s")
    print(f"samples: {run.samples[-1][1]}")
    if run.method.translates:
        print(f"to translate more: gan-course translate {run.path} --input FOLDER --out FOLDER")
    else:
        print(f"to draw more: gan-course sample {run.path} --n 64 --out grid.png")
    if options.show:
        show(run.samples[-1][1])


def load_data(options: argparse.Namespace, fields: dict[str, Any], **more: Any) -> Images:
    """The data set that the user named, at the size that the method is built for or is cropped out of."""
    defaults = {field.name: field.default for field in dataclasses.fields(options.method.config_class)}
    wanted = defaults | fields
    asked: dict[str, Any] = {"image_size": wanted.get("image_size") or wanted["data_shape"][-1]}
    if "load_size" in options:
        asked["image_size"] = options.load_size
    if "image_dir" in options or "label_dir" in options:
        return load_maps(options, asked, wanted)
    for name, argument in (("count", "count"), ("style", "style"), ("data_folder", "folder")):
        if name in options:
            asked[argument] = getattr(options, name)
    if options.data == "faces" and "domains" in options:
        asked["domains"] = tuple(options.domains)
    if options.data == "faces" and "split_colours" in options:
        asked |= {"input": options.input, "split_colours": options.split_colours}
    if "pairs" in options:
        asked["pairs"] = options.pairs
    if options.data not in data.names():
        asked["channels"] = wanted.get("channels") or wanted["data_shape"][0]
    return data.load(options.data, **asked | more)


def load_maps(options: argparse.Namespace, asked: dict[str, Any], wanted: dict[str, Any]) -> Images:
    """Images with label maps, from the folders that the user named."""
    missing = [name for name in ("image_dir", "label_dir") if name not in options]
    if missing:
        raise ValueError("--image-dir and --label-dir belong together; give both")
    named = ("image_dir", "label_dir", "instance_dir")
    folders = {name: getattr(options, name).absolute() for name in named if name in options}
    classes = {"label_nc": wanted["label_nc"], "dont_care": wanted.get("contain_dontcare", False)}
    return data.load(options.image_dir, channels=wanted["channels"], **asked, **folders, **classes)


def load_held_out(
    options: argparse.Namespace, fields: dict[str, Any], settings: TrainingSettings
) -> Images | None:
    """Faces of another seed, for a method that translates; None where nothing is known to be held out."""
    if options.method.translates == () or options.data != "faces" or "image_dir" in options:
        return None
    count = MEASURED if settings.measure_every else settings.preview_count
    return load_data(options, fields, count=count, seed=evaluation.HELD_OUT_SEED)


def measure_by(
    reference: Images, settings: TrainingSettings, features: str | None = None
) -> Callable[[Method], dict[str, float]]:
    """What fid.csv holds: the Fréchet distance of samples to images, held-out ones where there are such."""
    if settings.crop_size:
        reference = data.centre(reference, settings.crop_size)
    features = metrics.features(features or evaluation.features_of(reference), choose_device(settings.device))
    count = min(MEASURED, len(reference))
    name = f"FID-{features.name}"

    def measure(method: Method) -> dict[str, float]:
        draw = metrics.draw_of(method, reference)
        found = metrics.evaluate(draw, reference, features, metrics=("fid",), count=count, draws=1)
        return {name: found[name]["value"], "samples": count}

    return measure


def fitted_to(images: data.ImageSet, config: type, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that the user gave, and from the data those that the data decide."""
    shape = (images.channels, images.image_size, images.image_size)
    decided = {"channels": images.channels, "num_classes": images.num_classes, "data_shape": shape}
    decided["label_nc"] = len(images.map_names) - fields.get("contain_dontcare", False)  # 255 has a class too
    known = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in decided.items() if name in known and value} | fields


def show(path: Path) -> None:
    """Opens a picture in a window."""
    import matplotlib.pyplot as plt

    plt.imshow(plt.imread(path))
    plt.axis("off")
    plt.show()


# ---- sample --------------------------------------------------------------------------------------


def add_sample(commands: argparse._SubParsersAction) -> None:
    sample = commands.add_parser(
        "sample",
        help="draw images from a run",
        description="Draw images from a trained run, as one grid.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    sample.add_argument("folder", metavar="RUN", type=Path, help="folder of a run, e.g. runs/digits")
    sample.add_argument("--n", type=int, default=64, help="how many images")
    sample.add_argument("--out", type=Path, default=Path("samples.png"), help="picture to write")
    sample.add_argument("--seed", type=int, default=0, help="seed of the noise")
    sample.add_argument("--columns", type=int, help="images in a row (default: a square)")
    sample.add_argument("--labels", type=int, nargs="+", metavar="CLASS", help="classes to draw, in turn")
    sample.set_defaults(run=run_sample)


def run_sample(options: argparse.Namespace) -> None:
    from torchvision.utils import save_image

    if options.n < 1:
        raise ValueError(f"--n is {options.n}; it must be 1 or more")
    run = training.open_run(options.folder)
    labels = None
    if options.labels:
        labels = torch.tensor(options.labels).repeat(options.n // len(options.labels) + 1)[: options.n]
    images = run.method.sample(options.n, labels=labels, rng=torch.Generator().manual_seed(options.seed))
    columns = options.columns or max(1, round(options.n**0.5))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_image(images, options.out, nrow=columns, normalize=True, value_range=(-1, 1))
    print(f"{options.out}: {options.n} images of {options.folder}, step {run.card['step']}")


# ---- export --------------------------------------------------------------------------------------


def add_export(commands: argparse._SubParsersAction) -> None:
    exporting = commands.add_parser(
        "export",
        help="write a run's generator to a file that runs without Python",
        description="Write the generator of a trained run, or of shipped weights, to an ONNX file for "
        "batches of any size, and check on random inputs that it agrees with the network. "
        "Needs: pip install onnx onnxscript onnxruntime",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    exporting.add_argument("source", metavar="RUN", help="folder of a run, or the name of shipped weights")
    exporting.add_argument("--format", choices=("onnx",), default="onnx", help="format of the file")
    exporting.add_argument(
        "--out", type=Path, help="file to write (default: generator.onnx in the run's folder)"
    )
    exporting.add_argument(
        "--direction", choices=DIRECTIONS, default="AtoB", help="for a method that translates both ways"
    )
    exporting.set_defaults(run=run_export)


def run_export(options: argparse.Namespace) -> None:
    from gan_course import weights
    from gan_course.export import export

    if Path(options.source).is_dir() or options.source not in weights.names():
        method, out = training.open_run(options.source).method, Path(options.source) / "generator.onnx"
    else:
        method, out = weights.load(options.source)[0], Path(f"{options.source}.onnx")
    if not isinstance(method, Method):
        raise ValueError(f"{options.source} is a judge, which generates nothing")
    print(export(method, options.out or out, options.direction))


# ---- translate -----------------------------------------------------------------------------------


def add_translate(commands: argparse._SubParsersAction) -> None:
    translate = commands.add_parser(
        "translate",
        help="send a folder of images through a run",
        description="Translate every image (or label map) of a folder, with the attention map beside it "
        "where the method has one. What is there already is left as it is.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    translate.add_argument("folder", metavar="RUN", type=Path, help="folder of a run, e.g. runs/styles")
    translate.add_argument("--input", metavar="FOLDER", type=Path, required=True, help="what to translate")
    translate.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where results go")
    translate.add_argument("--direction", default="AtoB", choices=DIRECTIONS, help="between two domains")
    translate.add_argument("--batch-size", type=int, default=16, help="images at a time")
    translate.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    translate.set_defaults(run=run_translate)


def run_translate(options: argparse.Namespace) -> None:
    run = training.open_run(options.folder, choose_device(options.device))
    results = translate_folder(run.method, options.input, options.out, options.direction, options.batch_size)
    print(f"{options.out}: {len(results)} translations of {options.input} by {options.folder}")


# ---- evaluate ------------------------------------------------------------------------------------


def add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score a run's samples",
        description="Compare samples of a run with real images, held-out ones where the data set has such. "
        "The scores go into the run card.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    evaluate.add_argument("folder", metavar="RUN", type=Path, help="folder of a run, e.g. runs/digits")
    evaluate.add_argument(
        "--metrics",
        metavar="NAMES",
        help=f"some of {','.join(evaluation.METRICS)} (default: all that apply to the run)",
        default=argparse.SUPPRESS,
    )
    evaluate.add_argument("--n", type=int, default=5000, help="samples in a draw")
    evaluate.add_argument("--draws", type=int, default=3, help="how many draws, for the interval")
    evaluate.add_argument("--seed", type=int, default=0, help="seed of the first draw")
    evaluate.add_argument(
        "--features",
        choices=list(extractors.EXTRACTORS),
        help="what to compare by (default: those made for the run's data; inception is downloaded)",
        default=argparse.SUPPRESS,
    )
    evaluate.add_argument(
        "--data",
        metavar="NAME|FOLDER",
        help="real images to compare with (default: of the run's own kind)",
        default=argparse.SUPPRESS,
    )
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    asked = options.metrics.split(",") if "metrics" in options else None
    evaluation.check_names(asked or evaluation.METRICS)  # before minutes of drawing faces
    run = training.open_run(options.folder, device)
    real = evaluation.data_of(run.card, max(options.n, 1), getattr(options, "data", None))
    features = metrics.features(
        getattr(options, "features", None) or evaluation.features_of(real.reference), device
    )
    judge = evaluation.judge_for(run.method, real.reference, features, device)
    asked = asked or evaluation.default_metrics(judge)
    settings = {"metrics": asked, "judge": judge, "draws": options.draws, "seed": options.seed}
    found = metrics.evaluate(
        metrics.draw_of(run.method, real.reference), real.reference, features, count=options.n, **settings
    )
    scale = {}
    if real.training is not None:
        count, settings["draws"] = min(options.n, len(real.training)), 1
        draw = metrics.draw_real(real.training)
        scale = metrics.evaluate(draw, real.reference, features, count=count, **settings)
    run.card["metrics"] |= found
    write_card(run.path, run.card)
    print(
        f"{run.path}: {run.method.name}, step {run.card['step']:,}; {options.draws} draws of {options.n:,} "
        f"samples against {len(real.reference):,} {'held-out ' if real.held_out else ''}images "
        f"of {real.reference.name}"
    )
    print_scores(found, scale)


def print_scores(found: dict[str, dict[str, Any]], scale: dict[str, dict[str, Any]]) -> None:
    """A table: each score, its lowest and highest draw, and what real images get."""
    width = max(len(name) for name in found)
    print(f"{'':{width}} {'mean':>9} {'lowest':>9} {'highest':>9}" + (f" {'real':>9}" if scale else ""))
    for name, one in found.items():
        values = [one["value"], one["lowest"], one["highest"]]
        if scale:
            values.append(scale[name]["value"])
        print(f"{name:{width}}" + "".join(f" {value:9.4g}" for value in values))


# ---- bench ---------------------------------------------------------------------------------------

BENCH_SETTINGS = ("batch_size", "device", "turns", "precision", "channels_last", "compile", "accumulate")


def add_bench(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "bench",
        help="measure the speed of a method",
        description="Measure what a training step costs, on made-up data.",
    )
    chosen = command.add_subparsers(title="methods", required=True, metavar="METHOD")
    for name in methods.names():
        method = methods.method_class(name)
        one = chosen.add_parser(
            name,
            help=method.paper,
            description=f"{method.paper}: what a training step costs, on made-up data.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        run = one.add_argument_group("the bench")
        run.add_argument("--steps", type=int, default=50, help="steps to measure, twice")
        add_fields(run, TrainingSettings, {}, only=BENCH_SETTINGS)
        add_fields(one.add_argument_group("the method"), method.config_class, {})
        one.set_defaults(run=run_bench, method=method)


def run_bench(options: argparse.Namespace) -> None:
    fields, settings = given(options, options.method.config_class), given(options, TrainingSettings)
    steps = settings.pop("steps")
    torch.manual_seed(0)
    method = methods.build(options.method.name, **fields)
    cost = bench.measure(method, TrainingSettings(**settings), steps)
    print(f"{method.name}, {cost.steps} steps on {method.device}: {cost.images_per_second:.1f} images/s")
    if cost.peak_bytes is not None:
        print(f"peak memory: {cost.peak_bytes / 2**20:.0f} MiB")
    print("time: " + ", ".join(f"{part} {share:.0%}" for part, share in cost.shares.items()))


# ---- data ----------------------------------------------------------------------------------------


def add_data(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("data", help="list, render and check data", description="Data sets.")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="list the data sets", description="List the data sets.")
    listing.set_defaults(run=run_data_list)

    render = actions.add_parser(
        "render",
        help="draw cartoon faces into a folder",
        description="Draw cartoon faces: images/, labels/ (class of every pixel) and tags.csv.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    render.add_argument("what", choices=["faces"], help="what to draw")
    render.add_argument("--n", type=int, default=1000, help="how many")
    render.add_argument("--size", type=int, default=64, help="height and width in pixels")
    render.add_argument("--style", default="adventurer", help="way of drawing")
    render.add_argument("--seed", type=int, default=0, help="other seeds, other faces")
    render.add_argument("--out", type=Path, required=True, help="folder to write")
    render.set_defaults(run=run_data_render)

    check = actions.add_parser(
        "check",
        help="look for files that training could not read",
        description="Open every image of a folder and name each one that training could not read.",
    )
    check.add_argument("folder", type=Path)
    check.set_defaults(run=run_data_check)


def run_data_list(options: argparse.Namespace) -> None:
    rows = data.describe()
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:{width}}  {row.images}; {row.content}; {row.holds}; {row.licence}")


def run_data_render(options: argparse.Namespace) -> None:
    data.render_faces(
        options.out,
        count=options.n,
        image_size=options.size,
        style=options.style,
        seed=options.seed,
        progress=True,
    )
    print(
        f"{options.out}: {options.n} faces of {options.size} x {options.size} pixels, style {options.style}"
    )


def run_data_check(options: argparse.Namespace) -> None:
    report = data.check_folder(options.folder)
    print(report)
    if report.bad:
        raise ValueError(f"{len(report.bad)} of the files in {options.folder} cannot be read")


def run_methods(options: argparse.Namespace) -> None:
    for name in methods.names():
        print(f"{name:12} {methods.method_class(name).paper}")


if __name__ == "__main__":
    sys.exit(main())
