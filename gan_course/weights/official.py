"""Weights that the papers' authors published, read into the methods of the course.

Their files hold the same numbers under other names: the layers of the authors' code are numbered and nested
in their own ways. For each network there is a list of rules here that turns our name of a tensor into
theirs. A file is taken only if every tensor of the network is found in it, in the same shape, and nothing
is left over; else the message names what does not fit, and the method stays as it was.
"""

import pickle
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_course.methods.base import Method
from gan_course.nn.norms import SpectralNorm, normalised_layers, raw_weight

State = dict[str, Tensor]
Rule = tuple[str, str | Callable[[re.Match], str]]
"""A pattern and what comes in its place, as `re.sub` takes them."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
SHOWN = 4  # names of tensors in a message


class StoredSpectralNorm(SpectralNorm):
    """Spectral normalisation that, in evaluation, takes the stored vectors as they are.

    The authors' networks do; ours iterate once more, which changes the weights a little where the vectors
    have not settled.
    """

    def _iterate(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        return self._u, self._v


class Part(NamedTuple):
    """What one state dict of the authors holds."""

    rules: dict[str, list[Rule]]
    """By network of the method that is filled from it: the rules from our names to theirs."""
    ignored: str = "(?!)"
    """Pattern of their names that nothing computes with."""


def load_official(method: Method, path: str | Path, part: str | None = None) -> tuple[str, ...]:
    """Fills networks of `method` with the weights that the authors of its paper published.

    Known are the authors' PyTorch checkpoints of pix2pix and CycleGAN (junyanz), pix2pixHD and SPADE
    (NVIDIA), CLADE (tzt101), SEAN (ZPdesu), MUNIT and UNIT (NVlabs) and U-GAT-IT (znxlwm). Build the method
    with the options that the weights were trained with: what a file tells is checked, but it does not tell,
    for instance, how often a SPADE generator doubles its maps.

    >>> method = methods.build("cyclegan", history=0)
    >>> load_official(method, "checkpoints/horse2zebra/latest_net_G_A.pth")
    ('generator_ab',)

    Args:
        method: it is changed in place, and left in evaluation mode. Its outputs are then those of the
            authors' network, whose spectral normalisation uses its vectors as they are stored.
        path: a file; or a folder with files as the authors' programs name them (latest_net_G.pth), of which
            those that are there are read.
        part: which of the authors' networks a file holds (G, D, G_A, ...), where neither its name nor its
            contents say so.

    Returns:
        The names of the networks that were filled.

    Raises:
        FileNotFoundError: there is no such file or folder, or nothing known in the folder.
        ValueError: the file holds something else than tensors by name, or does not fit the method; the
            message names what is missing, what is left over and which shapes differ.
    """
    if method.name not in PARTS:
        raise ValueError(f"no published weights of {method.name} are known; known are: {', '.join(PARTS)}")
    check_options(method)
    parts = PARTS[method.name](method)
    if part is not None and part not in parts:
        raise ValueError(f"part is {part!r}; of {method.name} it must be one of {', '.join(parts)}")
    fitted = [
        fit(method, file, states, parts, part) for file, states in checkpoints(Path(path), parts).items()
    ]
    filled = {name: state for states in fitted for name, state in states.items()}
    for name, state in filled.items():
        network = method.networks[name]
        for layer in normalised_layers(network).values():
            step = layer.parametrizations.weight[0]
            stored = StoredSpectralNorm(raw_weight(layer), dim=step.dim, eps=step.eps)
            layer.parametrizations.weight[0] = stored.to(step._u.device)
        network.load_state_dict(state)
    method.eval()
    return tuple(filled)


# ---- files -------------------------------------------------------------------------------------------


def checkpoints(path: Path, parts: Iterable[str]) -> dict[Path, dict[str, State]]:
    """The files to read, each with its state dicts by part; "" where neither name nor contents tell which."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_dir():
        return {path: state_dicts(path)}
    found = {}
    for part in parts:
        files = sorted(path.glob(f"*_net_{part}.pth"))
        latest = [file for file in files if file.name.startswith("latest_")] or files
        if len(latest) > 1:
            names = ", ".join(file.name for file in latest)
            raise ValueError(f"{path} holds several epochs ({names}): name the file that you mean")
        if latest:
            found[latest[0]] = state_dicts(latest[0])
    if not found:
        names = ", ".join(f"latest_net_{part}.pth" for part in parts)
        raise FileNotFoundError(f"{path} holds none of {names}; name the file that you mean")
    return found


def state_dicts(file: Path) -> dict[str, State]:
    """The state dicts of a file, by the part that it is named after; "" for a name that tells nothing.

    Raises ValueError for a file that is damaged or holds anything but tensors by name.
    """
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} cannot be read as weights alone: {reason}") from error
    if isinstance(held, dict) and held and all(isinstance(value, dict) for value in held.values()):
        # several networks in one file: U-GAT-IT names them, MUNIT puts the kind into the name of the file
        kind = file.stem.split("_")[0]
        prefix = f"{kind}_" if kind in ("gen", "dis") else ""
        return {f"{prefix}{name}": named_tensors(file, state) for name, state in held.items()}
    told = re.search(r"_net_([A-Z_]+)$", file.stem)
    return {told[1] if told else "": named_tensors(file, held)}


def named_tensors(file: Path, held: object) -> State:
    """A state dict, without the prefix that wrapping a network for several GPUs gives all its names.

    Raises ValueError for anything else.
    """
    if not isinstance(held, dict) or not held or not all(isinstance(v, Tensor) for v in held.values()):
        raise ValueError(f"{file} holds no tensors by name: it is not the state of a network")
    wrapped = all(name.startswith("module.") for name in held)
    return {name.removeprefix("module.") if wrapped else name: value for name, value in held.items()}


# ---- fitting -----------------------------------------------------------------------------------------


class Misfit(NamedTuple):
    """What keeps a state dict from being that of a part, in the authors' names."""

    missing: list[str]
    unexpected: list[str]
    shapes: list[str]
    other: list[str]

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        kinds = zip(("missing: ", "unexpected: ", "of other shapes: ", ""), self, strict=True)
        return "; ".join(kind + listed(names) for kind, names in kinds if names)

    @property
    def count(self) -> int:
        """How many tensors do not fit."""
        return sum(map(len, self))


def listed(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def fit(
    method: Method, file: Path, states: dict[str, State], parts: dict[str, Part], part: str | None
) -> dict[str, State]:
    """The states of our networks, in our names, from the state dicts of one file.

    Raises ValueError where they do not fit, or where it is not clear what they are of.
    """
    filled: dict[str, State] = {}
    for told, state in states.items():
        known = part or (told if told in parts else None)
        tried = {name: translated(method, state, parts[name]) for name in ([known] if known else parts)}
        fitting = [name for name, (_, misfit) in tried.items() if not misfit]
        if len(fitting) > 1:
            raise ValueError(
                f"{file} could be {' or '.join(fitting)} of {method.name}: say which, as in "
                f"part={fitting[0]!r}"
            )
        if not fitting:
            nearest = min(tried, key=lambda name: tried[name][1].count)
            misfit = tried[nearest][1]
            networks = " and ".join(parts[nearest].rules)
            raise ValueError(
                f"{file} does not fit {networks} of this {method.name}: {misfit}{hint(method, state, misfit)}"
            )
        filled |= tried[fitting[0]][0]
    return filled


def translated(method: Method, state: State, part: Part) -> tuple[dict[str, State], Misfit]:
    """The state dict of a part as states of our networks, and what does not fit."""
    misfit = Misfit([], [], [], [])
    used: set[str] = set()
    filled: dict[str, State] = {}
    for network, rules in part.rules.items():
        filled[network] = {}
        for name, ours in method.networks[network].state_dict().items():
            theirs = their_names(name, ours, rules)
            used.update(theirs)
            absent = [other for other in theirs if other not in state]
            if absent and name.endswith("num_batches_tracked"):
                filled[network][name] = ours  # older versions of torch did not count
            elif absent:
                misfit.missing.extend(absent)
            else:
                value = state[theirs[0]] if len(theirs) == 1 else torch.stack([state[o] for o in theirs])
                filled[network][name] = value
                if value.shape != ours.shape:
                    shapes = f"{tuple(value.shape)}, here {tuple(ours.shape)}"
                    misfit.shapes.append(f"{theirs[0]} ({shapes})")
    ignored = re.compile(part.ignored)
    left = [name for name in state if name not in used]
    misfit.unexpected.extend(name for name in left if not (ignored.search(name) or unused(name, state)))
    misfit.other.extend(differing_statistics(state))
    return filled, misfit


def their_names(name: str, ours: Tensor, rules: list[Rule]) -> list[str]:
    """The authors' names of what is one tensor here: one, or as many as our tensor has rows."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    name = name.replace(".parametrizations.weight.original", ".weight_orig")
    name = re.sub(r"\.parametrizations\.weight\.0\._([uv])$", r".weight_\1", name)
    return [name.replace("*", str(row)) for row in range(len(ours))] if "*" in name else [name]


def unused(name: str, state: State) -> bool:
    """Whether these are statistics that an instance norm of an old version of torch collected and no network
    used: unlike batch norm, it has no gain beside them."""
    norm, _, kind = name.rpartition(".")
    return kind in STATISTICS and f"{norm}.weight" not in state and "param_free_norm" not in norm


def differing_statistics(state: State) -> list[str]:
    """SPADE's shortcut normalises what the block's first norm does; here it is done once, for both."""
    wrong = []
    for name in state:
        twin = name.replace("norm_s.param_free_norm", "norm_0.param_free_norm")
        if name.endswith(STATISTICS[:2]) and twin != name and twin in state:
            same = state[name].shape == state[twin].shape and torch.allclose(
                state[name], state[twin], rtol=1e-3, atol=1e-5
            )
            wrong += [] if same else [f"{name} differs from {twin}, though both see the same maps"]
    return wrong


def hint(method: Method, state: State, misfit: Misfit) -> str:
    """What may be the reason, where it is the norm."""
    gains = [name.replace("running_mean", "weight") for name in state if name.endswith("running_mean")]
    theirs = any(gain in state for gain in gains)
    modules = [module for network in method.networks.values() for module in network.modules()]
    ours = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) and m.affine for m in modules)
    if theirs == ours or not (misfit.missing or misfit.unexpected):
        return ""
    kinds = {True: "batch norm", False: "no batch norm"}
    return (
        f". The file is of a network with {kinds[theirs]}, this {method.name} has {kinds[ours]}: "
        "build it with the norm of the file"
    )


def check_options(method: Method) -> None:
    """Raises ValueError for options with which the authors' weights would fit and compute something else."""
    for name, (value, why) in OPTIONS.get(method.name, {}).items():
        if getattr(method.config, name) != value:
            raise ValueError(
                f"this {method.name} was built with {name}={getattr(method.config, name)!r}; the authors' "
                f"weights need {name}={value!r}: {why}"
            )


OPTIONS = {
    "ugatit": {
        "variance": ("sample", "their PyTorch code divides by one less than the number of places"),
        "reweighting": ("stored", "their discriminators weigh the maps by weights that are not normalised"),
    },
    "unit": {"shared_blocks": (0, "in their code the domains share no layer")},
}
"""By method: options that a file does not tell, what the authors' published code has, and why."""


# ---- names -------------------------------------------------------------------------------------------


def pix2pix(method: Method) -> dict[str, Part]:
    patches = "net" if method.config.discriminator_layers == 0 else "model"
    parts = {"G": Part({"generator": unet(len(method.generator.downs))})}
    if "discriminator" in method.networks:
        parts["D"] = Part({"discriminator": [("^", f"{patches}.")]})
    return parts


def unet(depth: int) -> list[Rule]:
    """Each block of the U-Net holds the next smaller one between its own two halves."""
    rules: list[Rule] = []
    for k in range(depth):
        block = "model.model" + ".1.model" * (k > 0) + ".3.model" * (k - 1)
        behind = 4 if 0 < k < depth - 1 else 2  # layers of the block between our number and theirs
        rules.append((rf"^downs\.{k}\.", f"{block}."))
        rules.append(
            (
                rf"^ups\.{depth - 1 - k}\.(\d+)\.",
                lambda found, block=block, behind=behind: f"{block}.{int(found[1]) + behind}.",
            )
        )
    return rules


def cyclegan(method: Method) -> dict[str, Part]:
    """Their discriminators are named after the generator that each opposes: D_A judges domain B."""
    resnet: list[Rule] = [(r"\.layers\.", ".conv_block."), ("^", "model.")]
    return {
        "G_A": Part({"generator_ab": resnet}),
        "G_B": Part({"generator_ba": resnet}),
        "D_A": Part({"discriminator_b": [("^", "model.")]}),
        "D_B": Part({"discriminator_a": [("^", "model.")]}),
    }


def pix2pixhd(method: Method) -> dict[str, Part]:
    """The last layers stand at the end of whatever comes last: global generator, or outermost enhancer."""
    generator, scales = method.generator, method.config.scales
    outermost = len(generator.enhancers)
    end = (
        f"model{outermost}_2.{len(generator.enhancers[-1].up) + 1}"
        if outermost
        else (f"model.{len(generator.coarse) + 1}")
    )
    rules: list[Rule] = [
        (r"^last\.1\.", f"{end}."),
        (r"^coarse\.", "model."),
        (r"^enhancers\.(\d+)\.down\.", lambda found: f"model{int(found[1]) + 1}_1."),
        (r"^enhancers\.(\d+)\.up\.", lambda found: f"model{int(found[1]) + 1}_2."),
        (r"\.layers\.", ".conv_block."),
    ]
    # they number the scales from the coarsest
    judge: Rule = (r"^scales\.(\d+)\.", lambda found: f"scale{scales - 1 - int(found[1])}_layer")
    return {"G": Part({"generator": rules}), "D": Part({"discriminator": [judge]})}


SPADE_NORM: list[Rule] = [
    (r"\.normalise\.", ".param_free_norm."),
    (r"\.(shared|gamma|beta)\.", r".mlp_\1."),
]
CLADE_NORM: list[Rule] = [
    (r"\.normalise\.", ".param_free_norm."),
    (r"\.gain$", ".class_specified_affine.weight"),
    (r"\.offset$", ".class_specified_affine.bias"),
    (r"\.position_gain\.", ".class_specified_affine.dist_conv_w."),
    (r"\.position_offset\.", ".class_specified_affine.dist_conv_b."),
    (r"\.edges\.", ".inst_conv."),
]


def spade(method: Method) -> dict[str, Part]:
    norm = SPADE_NORM if method.config.norm == "spade" else CLADE_NORM
    parts = {
        "G": Part({"generator": [("^middle_", "G_middle_"), *norm]}, ignored=r"norm_s\.param_free_norm\."),
        "D": Part({"discriminator": spade_judges(method)}),
    }
    if "encoder" in method.networks:
        parts["E"] = Part(
            {
                "encoder": [
                    (r"^layers\.(\d+)\.", lambda found: f"layer{int(found[1]) // 3 + 1}.0."),
                    (r"^mean\.", "fc_mu."),
                    (r"^log_variance\.", "fc_var."),
                ]
            }
        )
    return parts


def spade_judges(method: Method) -> list[Rule]:
    """A layer with a norm is one more level deep than the first and the last."""
    last = len(method.discriminator.scales[0]) - 1

    def place(found: re.Match) -> str:
        layer = int(found[2])
        return f"discriminator_{found[1]}.model{layer}." + ("0." if 0 < layer < last else "")

    return [(r"^scales\.(\d+)\.(\d+)\.", place)]


SEAN_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")


def sean(method: Method) -> dict[str, Part]:
    """Their linear layers of the regions are numbered; here they are the rows of one tensor."""
    generator: list[Rule] = [
        (r"^blocks\.(\d+)\.", lambda found: f"{SEAN_BLOCKS[int(found[1])]}."),
        (r"\.norm\.", ".param_free_norm."),
        (r"\.norm_([01s])\.", r".ace_\1."),
        (r"\.of_labels\.(\w+)\.", r".Spade.mlp_\1."),
        (r"\.of_styles\.", ".fc_mu*."),
        (r"\.style_(gamma|beta)\.", r".conv_\1."),
        (r"\.noise_strength$", ".noise_var"),
    ]
    return {
        "G": Part(
            {"style_encoder": [("^", "Zencoder.")], "generator": generator},
            ignored=r"\.Spade\.param_free_norm\.",
        ),
        "D": Part({"discriminator": spade_judges(method)}),
    }


def ugatit(method: Method) -> dict[str, Part]:
    attention: list[Rule] = [
        (r"^attention\.mean\.", "gap_fc."),
        (r"^attention\.maximum\.", "gmp_fc."),
        (r"^attention\.mix\.", "conv1x1."),
    ]
    down = {0: 1, 3: 5, 6: 9}  # they pad in a layer of its own
    up = {1: 2, 2: 3, 5: 7, 6: 8, 8: 11}

    def encoder(found: re.Match) -> str:
        number = int(found[1])
        return f"DownBlock.{down.get(number, number + 3)}."

    generator: list[Rule] = [
        *attention,
        (r"^blocks\.(\d+)\.", lambda found: f"UpBlock1_{int(found[1]) + 1}."),
        (r"^encoder\.(\d+)\.", encoder),
        (r"\.layers\.0\.", ".conv_block.1."),
        (r"\.layers\.3\.", ".conv_block.5."),
        (r"^style\.(\d+)\.", lambda found: f"FC.{int(found[1]) - (2 if method.config.light else 1)}."),
        (r"^decoder\.(\d+)\.", lambda found: f"UpBlock2.{up[int(found[1])]}."),
    ]
    judge: list[Rule] = [
        *attention,
        (r"^head\.", "conv."),
        (r"^encoder\.(\d+)\.", lambda found: f"model.{int(found[1]) // 2 * 3 + 1}."),
    ]
    networks = {
        "genA2B": "generator_ab",
        "genB2A": "generator_ba",
        "disGA": "discriminator_global_a",
        "disGB": "discriminator_global_b",
        "disLA": "discriminator_local_a",
        "disLB": "discriminator_local_b",
    }
    return {
        part: Part({network: generator if part.startswith("gen") else judge})
        for part, network in networks.items()
    }


def front(halvings: int, blocks: int, encoder: str) -> list[Rule]:
    """An encoder of MUNIT or UNIT: every third layer here is a convolution, then come residual blocks."""

    def place(found: re.Match) -> str:
        number, first = int(found[1]), 3 * (halvings + 1)
        if number < first:
            return f"{encoder}.model.{number // 3}.conv."
        return f"{encoder}.model.{halvings + 1}.model.{number - first}."

    return [(r"^(\d+)\.", place), (r"\.layers\.0\.", ".model.0.conv."), (r"\.layers\.3\.", ".model.1.conv.")]


def back(halvings: int) -> Callable[[int], str]:
    """From the number of a layer in the back of a decoder to its place: 4 layers here are 2 there."""

    def place(number: int) -> str:
        if number == 4 * halvings:
            return f"dec.model.{2 * halvings + 1}.conv."
        return f"dec.model.{2 * (number // 4) + 2}." + ("conv." if number % 4 == 1 else "norm.")

    return place


def pyramid(method: Method) -> list[Rule]:
    layers = method.config.layers

    def place(found: re.Match) -> str:
        number = int(found[2]) // 2
        return f"cnns.{found[1]}.{number}." + ("conv." if number < layers else "")

    return [(r"^scales\.(\d+)\.(\d+)\.", place)]


def munit(method: Method) -> dict[str, Part]:
    config = method.config
    places = back(config.halvings)
    style: Rule = (
        r"^(\d+)\.",
        lambda found: (
            f"enc_style.model.{int(found[1]) // 2}.conv."
            if int(found[1]) < 10
            else f"enc_style.model.{int(found[1]) - 5}."
        ),
    )
    decoder: list[Rule] = [
        (r"^blocks\.(\d+)\.conv_(\d)\.", r"dec.model.0.model.\1.model.\2.conv."),
        (r"^back\.(\d+)\.", lambda found: places(int(found[1]))),
        (r"^mlp\.(\d+)\.", lambda found: f"mlp.model.{int(found[1]) // 2}.fc."),
    ]
    parts = {}
    for domain in "ab":
        networks = {
            f"style_encoder_{domain}": [style],
            f"content_encoder_{domain}": front(config.halvings, config.blocks, "enc_content"),
            f"decoder_{domain}": decoder,
        }
        parts[f"gen_{domain}"] = Part(networks)
        parts[f"dis_{domain}"] = Part({f"discriminator_{domain}": pyramid(method)})
    return parts


def unit(method: Method) -> dict[str, Part]:
    config = method.config
    places = back(config.halvings)

    def decoded(found: re.Match) -> str:
        number = int(found[1])
        return f"dec.model.0.model.{number}." if number < config.blocks else places(number - config.blocks)

    decoder: list[Rule] = [
        (r"^(\d+)\.", decoded),
        (r"\.layers\.0\.", ".model.0.conv."),
        (r"\.layers\.3\.", ".model.1.conv."),
    ]
    parts = {}
    for domain in "ab":
        encoder = front(config.halvings, config.blocks, "enc")
        parts[f"gen_{domain}"] = Part({f"encoder_{domain}": encoder, f"decoder_{domain}": decoder})
        parts[f"dis_{domain}"] = Part({f"discriminator_{domain}": pyramid(method)})
    return parts


PARTS: dict[str, Callable[[Method], dict[str, Part]]] = {
    table.__name__: table for table in (pix2pix, cyclegan, pix2pixhd, spade, sean, ugatit, munit, unit)
}
"""By method: the authors' names of their networks, and the rules for each."""
