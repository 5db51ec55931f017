"""Trained generators as ONNX files, which run where there is no Python: in a web page, on a phone.

    gan-course export runs/digits --out digits.onnx

A file holds the generator alone, in evaluation mode, in float32, for batches of any size. Before it counts as
written, it is run beside the network on random inputs and must agree.
"""

import dataclasses
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_course.methods import Method
from gan_course.methods.base import evaluating

OPSET = 18
TOLERANCE = 1e-4
DIRECTIONS = ("AtoB", "BtoA")
BATCH = 2  # images of the example; 1 would be taken for a constant


class Steps(nn.Module):
    """A function of tensors that uses some networks."""

    def __init__(self, function: Callable[..., Tensor | tuple[Tensor, ...]], *networks: nn.Module) -> None:
        super().__init__()
        self.function, self.networks = function, nn.ModuleList(networks)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.function(*inputs)


class Exportable(NamedTuple):
    """What is exported: steps from named inputs to named outputs, and examples of the inputs."""

    network: Steps
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = ("images",)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that was written and checked."""

    path: Path
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    megabytes: float
    difference: float
    """The largest difference between its outputs and the network's, on random inputs."""

    def __str__(self) -> str:
        def listed(shapes: dict[str, list[int | str]]) -> str:
            return ", ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in shapes.items())

        return (
            f"{self.path}: {listed(self.inputs)} -> {listed(self.outputs)}, {self.megabytes:.2f} MB, "
            f"at most {self.difference:.1e} from the network"
        )


def export(method: Method, path: str | Path, direction: str = "AtoB") -> Exported:
    """Writes the generator of a trained method to an ONNX file.

    The inputs are those of the network: "noise" [N, noise size]; "labels" int64 [N] of a conditional GAN;
    "tags" float [N, 15], one-hot groups side by side; "input" or "images" [N, C, H, W] in [-1, 1];
    "label_map" int64 [N, H, W]; "style" [N, style size]. The output "images" is [N, C, H, W] in [-1, 1];
    U-GAT-IT also gives "attention" [N, 1, h, w].

    Args:
        method: any but pix2pixHD, SEAN, whose styles come from images by region, and SPADE with instance
            maps or positions.
        path: of the file. What was there is replaced when the new file has been checked, not before.
        direction: of a method that translates both ways.

    Raises:
        ValueError: a method or a direction that cannot be exported, or a file that does not agree.
        ModuleNotFoundError: onnx, onnxscript or onnxruntime is not installed.
    """
    check_installed()
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; it must be {' or '.join(DIRECTIONS)}")
    if method.name not in EXPORTS:
        raise ValueError(f"{method.name} cannot be exported; these can: {', '.join(sorted(EXPORTS))}")
    return save(EXPORTS[method.name](method, direction), path)


def save(found: Exportable, path: str | Path) -> Exported:
    """Writes steps through networks to an ONNX file, for those that `export` has no entry for.

    Args:
        found: the steps, examples of their inputs by name, each with a batch of 2, and the outputs' names.
        path: of the file. What was there is replaced when the new file has been checked, not before.

    Raises:
        ValueError: a file that does not agree with the networks on the examples.
        ModuleNotFoundError: onnx, onnxscript or onnxruntime is not installed.
    """
    check_installed()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        with evaluating(found.network, *found.network.networks):
            write(found, fresh)
            difference = largest_difference(found, fresh)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"the file would differ from the network by {difference:.1e}, more than {TOLERANCE:.0e}: "
                f"{path} was not written"
            )
        shapes = signature(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return Exported(path, *shapes, path.stat().st_size / 1e6, difference)


def check_installed() -> None:
    """Raises ModuleNotFoundError, saying what to install."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"exporting needs {missing.name}: pip install onnx onnxscript onnxruntime"
        ) from missing


def write(found: Exportable, path: Path) -> None:
    """The network as one file, whose batch size is free."""
    batch = torch.export.Dim("batch", min=1)
    # its remarks on what it could not simplify are of no use to whoever exports
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)  # several inputs, one batch
        program = torch.onnx.export(
            found.network,
            tuple(found.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(found.inputs),
            output_names=list(found.outputs),
            dynamic_shapes=(tuple({0: batch} for _ in found.inputs),),
            verbose=False,
        )
    program.optimize()
    program.save(str(path), external_data=False)


@torch.no_grad()
def largest_difference(found: Exportable, path: Path) -> float:
    """Between the file's outputs and the network's, for the example and for one image of it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences = [0.0]
    for count in (BATCH, 1):
        inputs = {name: value[:count] for name, value in found.inputs.items()}
        theirs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        ours = found.network(*inputs.values())
        ours = ours if isinstance(ours, tuple) else (ours,)
        differences += [
            (torch.from_numpy(a) - b).abs().max().item() for a, b in zip(theirs, ours, strict=True)
        ]
    return max(differences)


def signature(path: Path) -> tuple[dict[str, list[int | str]], dict[str, list[int | str]]]:
    """Names and shapes of a file's inputs and outputs."""
    import onnx

    graph = onnx.load(str(path)).graph

    def shapes(values) -> dict[str, list[int | str]]:
        return {
            value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
            for value in values
        }

    return shapes(graph.input), shapes(graph.output)


# ---- what each method's file computes -------------------------------------------------------------------


def noise_of(method: Method) -> Tensor:
    return method.draw_noise(BATCH, torch.Generator().manual_seed(0)).cpu()


def images_like(method: Method, channels: int | None = None) -> Tensor:
    size = method.config.image_size
    shape = (BATCH, channels or method.config.channels, size, size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def from_noise(method: Method, direction: str) -> Exportable:
    return Exportable(Steps(method.generator, method.generator), {"noise": noise_of(method)})


def from_noise_and_class(method: Method, direction: str) -> Exportable:
    classes = getattr(method.config, "num_classes", 0) or method.config.classes
    return Exportable(
        Steps(method.generator, method.generator),
        {"noise": noise_of(method), "labels": torch.arange(BATCH) % classes},
    )


def from_noise_and_tags(method: Method, direction: str) -> Exportable:
    def draw(noise: Tensor, tags: Tensor) -> Tensor:
        return method.generator(torch.cat([noise, tags], dim=1))

    tags = method.one_hot(method.draw_tags(BATCH, torch.Generator().manual_seed(0))).float()
    return Exportable(Steps(draw, method.generator), {"noise": noise_of(method), "tags": tags})


def from_picture(method: Method, direction: str) -> Exportable:
    source = method.translates[0]
    channels = method.config.input_channels if source == "input" else method.config.channels
    return Exportable(Steps(method.generator, method.generator), {source: images_like(method, channels)})


def from_label_map(method: Method, direction: str) -> Exportable:
    config = method.config
    if config.instance or config.positions:
        raise ValueError(
            "a SPADE with instance maps or positions cannot be exported: build it without `instance` and "
            "without `positions`"
        )
    size = config.image_size
    rows = round(size / config.aspect_ratio)
    maps = torch.randint(config.label_nc, (BATCH, rows, size), generator=torch.Generator().manual_seed(0))
    if not config.vae:
        return Exportable(Steps(method.generator, method.generator), {"label_map": maps})

    def paint(label_map: Tensor, style: Tensor) -> Tensor:
        return method.generator(label_map=label_map, noise=style)

    return Exportable(Steps(paint, method.generator), {"label_map": maps, "style": noise_of(method)})


def by_cyclegan(method: Method, direction: str) -> Exportable:
    source = direction[0].lower()
    generator = method.networks[f"generator_{'ab' if direction == 'AtoB' else 'ba'}"]

    def redraw(images: Tensor) -> Tensor:
        return generator(method.attended(images, source))

    networks = [generator, *([method.networks[f"discriminator_{source}"]] if method.attends else [])]
    return Exportable(Steps(redraw, *networks), {"images": images_like(method)}, ("translated",))


def by_ugatit(method: Method, direction: str) -> Exportable:
    generator = method.generator_ab if direction == "AtoB" else method.generator_ba

    def redraw(images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        found = generator(images)
        return (found.image, found.heat) if method.attends else found.image

    outputs = ("translated", "attention") if method.attends else ("translated",)
    return Exportable(Steps(redraw, generator), {"images": images_like(method)}, outputs)


def by_unit(method: Method, direction: str) -> Exportable:
    source, target = direction[0].lower(), direction[-1].lower()
    encoder, decoder = method.networks[f"encoder_{source}"], method.networks[f"decoder_{target}"]

    def redraw(images: Tensor) -> Tensor:
        codes = method.shared("encoder", encoder(images))
        return decoder(method.shared("decoder", codes))

    return Exportable(
        Steps(redraw, *method.networks.values()), {"images": images_like(method)}, ("translated",)
    )


def by_munit(method: Method, direction: str) -> Exportable:
    source, target = direction[0].lower(), direction[-1].lower()
    encoder, decoder = method.networks[f"content_encoder_{source}"], method.networks[f"decoder_{target}"]

    def redraw(images: Tensor, style: Tensor) -> Tensor:
        return decoder(encoder(images), style)

    inputs = {"images": images_like(method), "style": noise_of(method)}
    return Exportable(Steps(redraw, encoder, decoder), inputs, ("translated",))


def by_stargan(method: Method, direction: str) -> Exportable:
    labels = torch.eye(method.config.domains)[torch.arange(BATCH) % method.config.domains]
    inputs = {"images": images_like(method), "labels": labels}
    return Exportable(Steps(method.generator, method.generator), inputs, ("translated",))


EXPORTS: dict[str, Callable[[Method, str], Exportable]] = {
    "gan": from_noise,
    "dcgan": from_noise,
    "sngan": from_noise,
    "cgan": from_noise_and_class,
    "biggan": from_noise_and_class,
    "acgan": from_noise_and_tags,
    "pix2pix": from_picture,
    "spade": from_label_map,
    "cyclegan": by_cyclegan,
    "ugatit": by_ugatit,
    "unit": by_unit,
    "munit": by_munit,
    "stargan": by_stargan,
}
