"""Pictures of the book: sample grids, training curves, a slider over frames, walks through latent space.

Every figure stands on a white ground, so that it reads the same in light and dark mode, and uses the
colour-blind-safe palette of Okabe and Ito (2008). The functions that return a `Figure` have closed it for
pyplot: it is shown once, by being the last line of a cell or by `display(figure)`. A figure whose axes the
caller passed in stays the caller's.
"""

import base64
import hashlib
import html
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

# Roles rather than colours: data dark, G green, D blue, as in figure 1 of Goodfellow et al. (2014).
COLOURS = {
    "data": "#222222",
    "generator": "#009E73",
    "discriminator": "#0072B2",
    "noise": "#CC79A7",
    "accent": "#D55E00",
    "second": "#E69F00",
    "third": "#56B4E9",
    "muted": "#8A8F98",
}
CYCLE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222"]
COLUMN_ROLES = {"D(x)": "discriminator", "D(G(z))": "generator"}


def set_style() -> None:
    """Set matplotlib's rcParams to those of the book: white ground, quiet axes, type a phone can show."""
    matplotlib.rcParams.update(
        {
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "savefig.dpi": 120,
            "font.size": 12,
            "axes.titlesize": 12,
            "axes.labelsize": 12,
            "xtick.labelsize": 10.5,
            "ytick.labelsize": 10.5,
            "legend.fontsize": 10.5,
            "legend.frameon": False,
            "axes.facecolor": "white",
            "axes.edgecolor": "#555555",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.7,
            "lines.linewidth": 2.0,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
        }
    )


# ---- images --------------------------------------------------------------------------------------


def image_grid(
    images: Tensor | np.ndarray,
    columns: int = 8,
    titles: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw images side by side, row by row.

    Args:
        images: [N, C, H, W] with C = 1 or 3; floats in [-1, 1], or uint8 in 0..255.
        columns: images in a row.
        titles: one short text above each image, N of them.
        title: one text above the whole.
        ax: where to draw; without it a new figure is made, sized so that the grid fills it.

    Returns:
        the figure that holds the grid.

    Raises:
        ValueError: for another shape, values out of range, or a number of titles that is not N.
    """
    images = _to_uint8(images)
    count, height, width, _ = images.shape
    if titles is not None and len(titles) != count:
        raise ValueError(f"image_grid: {len(titles)} titles for {count} images; give one for each")
    columns = min(columns, count)
    gap = max(1, round(0.06 * width))
    title_gap = round(0.34 * height) if titles is not None else 0
    mosaic = _tile(images, columns, gap, title_gap)

    own_figure = ax is None
    if own_figure:
        # Six images or more in a row are as wide as the page; fewer are not blown up beyond 1.3 inches each.
        figure_width = min(7.0, 1.3 * columns)
        figure_height = figure_width * mosaic.shape[0] / mosaic.shape[1] + (0.35 if title else 0)
        figure, ax = plt.subplots(figsize=(figure_width, figure_height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    ax.imshow(mosaic, interpolation="nearest", vmin=0, vmax=255)
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    for index, text in enumerate(titles or ()):
        row, column = divmod(index, columns)
        x = column * (width + gap) + width / 2
        y = row * (height + gap + title_gap) + title_gap - 0.05 * height
        ax.text(x, y, text, ha="center", va="bottom", fontsize=10, color="#222222")
    if own_figure:
        plt.close(ax.figure)
    return ax.figure


def _to_uint8(images: Tensor | np.ndarray) -> np.ndarray:
    """[N, C, H, W] in [-1, 1] or uint8 -> [N, H, W, 3] uint8."""
    images = torch.as_tensor(images).detach().cpu()
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"images are [N, C, H, W] with N > 0 and C = 1 or 3, got shape {list(images.shape)}")
    if images.dtype != torch.uint8:
        images = images.float()
        low, high = images.min().item(), images.max().item()
        if not (low >= -1.001 and high <= 1.001):  # written so that NaN is refused too
            raise ValueError(f"images are floats in [-1, 1] or uint8, got {low:g} to {high:g}")
        images = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def _tile(images: np.ndarray, columns: int, gap: int, gap_above: int = 0) -> np.ndarray:
    """[N, H, W, 3] uint8 -> one [height, width, 3] uint8 picture on white."""
    count, height, width, _ = images.shape
    rows = math.ceil(count / columns)
    row_height = height + gap + gap_above
    mosaic = np.full((rows * row_height - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * row_height + gap_above, column * (width + gap)
        mosaic[top : top + height, left : left + width] = image
    return mosaic


# ---- curves --------------------------------------------------------------------------------------


def curves(
    log: Mapping[str, Sequence[float]],
    columns: Sequence[str] | Mapping[str, str],
    ax: Axes | None = None,
    smooth: float = 0.9,
) -> Figure:
    """Draw columns of a training log over the step: the smoothed curve, and the raw one faint behind it.

    Args:
        log: column name -> numbers, as in `run.log`; must hold "step". NaN marks a step without a value.
        columns: names to draw, or a mapping from name to the text in the legend.
        ax: where to draw; without it a new figure is made.
        smooth: decay in [0, 1) of the exponential mean (see `smoothed`); 0 draws the raw curve only.

    Raises:
        ValueError: when the log lacks a column; the message lists those it has.
    """
    labels = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    missing = [name for name in ("step", *labels) if name not in log]
    if missing:
        raise ValueError(f"curves: the log has no column {', '.join(missing)}; it has: {', '.join(log)}")

    own_figure = ax is None
    if own_figure:
        _, ax = plt.subplots()
    steps = np.asarray(log["step"], dtype=float)
    spare_colours = itertools.cycle(
        [COLOURS[role] for role in ("accent", "noise", "second", "third", "muted")]
    )
    for name, label in labels.items():
        values = np.asarray(log[name], dtype=float)
        present = np.isfinite(values)
        role = COLUMN_ROLES.get(name, name)
        colour = COLOURS[role] if role in COLOURS else next(spare_colours)
        if smooth > 0:
            ax.plot(steps[present], values[present], color=colour, alpha=0.25, linewidth=1)
        ax.plot(steps[present], smoothed(values[present], smooth), color=colour, label=label)
    ax.set_xlabel("step")
    ax.legend()
    if own_figure:
        plt.close(ax.figure)
    return ax.figure


def smoothed(values: Sequence[float], decay: float) -> np.ndarray:
    """Exponential running mean, corrected for its start as in Adam (Kingma & Ba 2015, section 3).

    A constant stays that constant from the first value on. `decay` in [0, 1): 0 changes nothing.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"smooth is a decay in [0, 1), got {decay}")
    values = np.asarray(values, dtype=float)
    mean, result = 0.0, np.empty_like(values)
    for index, value in enumerate(values):
        mean = decay * mean + (1 - decay) * value
        result[index] = mean / (1 - decay ** (index + 1))
    return result


# ---- walks through latent space ------------------------------------------------------------------


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Spherical interpolation between points of latent space (White 2016, "Sampling generative networks").

    Gaussian noise of high dimension lies near a sphere. The straight line between two of its points passes
    through lengths that the generator hardly ever saw in training; the arc does not.

    Args:
        start, end: [n, noise_size] or [noise_size].
        steps: number of points, both ends included, at least 2.

    Returns:
        [steps, n, noise_size] or [steps, noise_size]; the first is `start`, the last `end`.

    Raises:
        ValueError: for shapes that differ, fewer than two steps, a zero vector, or two opposite vectors,
            between which no arc is the shortest.
    """
    if start.shape != end.shape or start.ndim not in (1, 2):
        shapes = f"{list(start.shape)} and {list(end.shape)}"
        raise ValueError(f"slerp: start and end are [n, noise_size] of one shape, got {shapes}")
    if steps < 2:
        raise ValueError(f"slerp: at least 2 steps, got {steps}")
    lengths = start.norm(dim=-1, keepdim=True) * end.norm(dim=-1, keepdim=True)
    if (lengths == 0).any():
        raise ValueError("slerp: a zero vector has no direction to turn from or to")
    cosine = ((start * end).sum(dim=-1, keepdim=True) / lengths).clamp(-1, 1)
    angle = torch.acos(cosine)
    if (cosine < -1 + 1e-6).any():
        raise ValueError("slerp: start and end are opposite; no arc between them is the shortest")

    fraction = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)
    fraction = fraction.reshape(-1, *[1] * start.ndim)
    nearly_parallel = angle < 1e-3  # sin(angle) vanishes, and the arc is a straight line
    sine = torch.where(nearly_parallel, torch.ones_like(angle), torch.sin(angle))
    weight_start = torch.where(nearly_parallel, 1 - fraction, torch.sin((1 - fraction) * angle) / sine)
    weight_end = torch.where(nearly_parallel, fraction, torch.sin(fraction * angle) / sine)
    return weight_start * start + weight_end * end


def latent_walk(sample: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int = 16) -> Tensor:
    """Images along the arc from `start` to `end`, a frame for each step.

    Args:
        sample: noise [m, noise_size] -> images [m, C, H, W], for example
            `lambda noise: method.sample(len(noise), noise=noise)`.
        start, end: [n, noise_size], or [noise_size] for a single walk.
        steps: frames, both ends included.

    Returns:
        [steps, n, C, H, W], or [steps, C, H, W] for a single walk; each frame can go to `scrubber`.
    """
    noise = slerp(start, end, steps)
    images = sample(noise.flatten(0, -2))
    return images.unflatten(0, noise.shape[:-1])


# ---- the scrubber --------------------------------------------------------------------------------

_scrubber_numbers = itertools.count(1)

# One frame is in the page as an <img>, the others wait as text in a JSON block. The controls are hidden until
# the script runs: without JavaScript the first frame stands there as a plain picture. The script comes with
# each scrubber because Colab shows every output in a frame of its own.
_SCRUBBER = Template("""\
<style>
.scrubber { margin: 0; text-align: center; max-width: 100%; }
.scrubber .scrubber-frame { display: block; margin: 0 auto; max-width: 100%; height: auto; background: #fff; }
.scrubber .scrubber-pixels { image-rendering: pixelated; }
.scrubber .scrubber-controls { display: flex; align-items: center; gap: .6rem; max-width: 40rem;
  margin: .4rem auto 0; }
.scrubber .scrubber-controls[hidden] { display: none; }
.scrubber .scrubber-range { flex: 1 1 auto; min-width: 0; height: 2.5rem; margin: 0; cursor: pointer;
  accent-color: #0072B2; }
.scrubber .scrubber-play { flex: none; width: 2.5rem; height: 2.5rem; padding: 0; cursor: pointer;
  border: 1px solid currentColor; border-radius: 50%; background: transparent; color: inherit; }
.scrubber .scrubber-play svg { display: block; margin: auto; width: 1rem; height: 1rem; fill: currentColor; }
.scrubber .scrubber-play .scrubber-bars { display: none; }
.scrubber .scrubber-play.playing .scrubber-bars { display: inline; }
.scrubber .scrubber-play.playing .scrubber-triangle { display: none; }
.scrubber .scrubber-caption { display: block; min-height: 1.5em; font-variant-numeric: tabular-nums; }
@media (prefers-reduced-motion: reduce) { .scrubber .scrubber-play { display: none; } }
</style>
<figure class="scrubber" id="$id">
<img class="scrubber-frame$pixels" src="$first" alt="$first_alt"
width="$width" height="$height" decoding="async">
<div class="scrubber-controls" hidden>
<button type="button" class="scrubber-play" aria-label="Play" aria-controls="$id-range">
<svg viewBox="0 0 16 16" aria-hidden="true"><path class="scrubber-triangle" d="M4 2l10 6-10 6z"/>
<path class="scrubber-bars" d="M3 2h4v12H3zM9 2h4v12H9z"/></svg></button>
<input type="range" class="scrubber-range" id="$id-range" min="0" max="$last" value="$start" step="1"
aria-label="$label" aria-valuetext="$first_caption">
</div>
<output class="scrubber-caption" for="$id-range" aria-live="off">$first_caption</output>
$figcaption<script type="application/json" class="scrubber-data">$data</script>
</figure>
<script>
(() => {
  for (const root of document.querySelectorAll('[id="$id"]:not([data-ready])')) {
    root.dataset.ready = "true";
    const data = JSON.parse(root.querySelector(".scrubber-data").textContent);
    const image = root.querySelector(".scrubber-frame");
    const range = root.querySelector(".scrubber-range");
    const button = root.querySelector(".scrubber-play");
    const line = root.querySelector(".scrubber-caption");
    const last = data.frames.length - 1;
    let timer = null;
    const show = (index) => {
      range.value = index;
      image.src = data.frames[index];
      image.alt = data.alts[index];
      line.textContent = data.captions[index];
      range.setAttribute("aria-valuetext", data.captions[index]);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.classList.remove("playing");
      button.setAttribute("aria-label", "Play");
    };
    const advance = () => {
      if (!root.isConnected || Number(range.value) >= last) return stop();
      show(Number(range.value) + 1);
    };
    const play = () => {
      if (Number(range.value) >= last) show(0);
      timer = setInterval(advance, data.interval);
      button.classList.add("playing");
      button.setAttribute("aria-label", "Pause");
    };
    range.addEventListener("input", () => { stop(); show(Number(range.value)); });
    button.addEventListener("click", () => (timer === null ? play() : stop()));
    window.matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", stop);
    show($start);
    root.querySelector(".scrubber-controls").hidden = last === 0;
  }
})();
</script>
""")


def scrubber(
    frames: Sequence[Figure | Image.Image | Tensor | np.ndarray | str | Path],
    captions: Sequence[str | int],
    label: str = "step",
    alt: str = "",
    caption: str | None = None,
    interval: float = 0.4,
    start: int = 0,
):
    """A slider and a play button over pictures: one piece of static HTML that needs no kernel and no network.

    Args:
        frames: figures (closed afterwards), PIL images, paths of image files, or arrays: [C, H, W] or a batch
            [N, C, H, W], drawn as a grid, in [-1, 1] or uint8. All come out at one size.
        captions: one for each frame; text is shown as it is, a number as "label number".
        label: what the slider moves, for screen readers and before numbers.
        alt: what the pictures show, in words, for readers who do not see them.
        caption: text below the whole; in the book the numbered caption of the cell does that.
        interval: seconds a frame stands while playing.
        start: the frame that stands there first, and the only one without JavaScript; -1 is the last.

    Returns:
        an `IPython.display.HTML`, to be the last line of a cell; its `.data` is the text.

    Raises:
        ValueError: no frames, a number of captions that is not theirs, frames of unequal size, an array of
            another shape or range, a start that is no frame.
    """
    from IPython.display import HTML

    frames, captions = list(frames), list(captions)
    if not frames or len(frames) != len(captions):
        raise ValueError(
            f"scrubber: one caption for each frame, got {len(frames)} frames, {len(captions)} captions"
        )
    if not -len(frames) <= start < len(frames):
        raise ValueError(f"scrubber: start is one of {len(frames)} frames, got {start}")
    start %= len(frames)
    captions = [text if isinstance(text, str) else f"{label} {text:,}" for text in captions]
    pictures = [_picture(frame) for frame in frames]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        raise ValueError(
            f"scrubber: frames are of one size, got (width, height) {sizes}; fix the figure's size"
        )
    addresses = [_data_address(picture) for picture in pictures]

    # Small pictures are enlarged by a whole factor, each pixel a crisp square; large ones keep their size.
    width, height = sizes[0]
    enlarge = max(1, 480 // width)
    digest = hashlib.sha256("".join(addresses).encode()).hexdigest()[:8]
    alts = [f"{alt} ({text})" if alt else text for text in captions]
    data = {"frames": addresses, "captions": captions, "alts": alts, "interval": round(1000 * interval)}
    figcaption = f"<figcaption>{html.escape(caption)}</figcaption>\n" if caption else ""
    return HTML(
        _SCRUBBER.substitute(
            id=f"scrubber-{digest}-{next(_scrubber_numbers)}",
            pixels=" scrubber-pixels" if enlarge > 1 else "",
            first=addresses[start],
            start=start,
            first_alt=html.escape(alts[start]),
            first_caption=html.escape(captions[start]),
            width=enlarge * width,
            height=enlarge * height,
            last=len(frames) - 1,
            label=html.escape(label),
            figcaption=figcaption,
            data=json.dumps(data).replace("<", "\\u003c"),  # a caption cannot end the script element
        )
    )


def _picture(frame: Figure | Image.Image | Tensor | np.ndarray | str | Path) -> Image.Image:
    """Any kind of frame -> an RGB picture."""
    if isinstance(frame, Figure):
        buffer = io.BytesIO()
        frame.savefig(buffer, format="png", dpi=frame.dpi)  # the figure's exact size: a tight box would jump
        plt.close(frame)
        frame = Image.open(buffer)
    if isinstance(frame, str | Path):
        frame = Image.open(frame)
    if isinstance(frame, Image.Image):
        return frame.convert("RGB")
    images = torch.as_tensor(frame)
    images = _to_uint8(images if images.ndim == 4 else images.unsqueeze(0))
    columns = math.ceil(math.sqrt(len(images)))
    return Image.fromarray(_tile(images, columns, gap=max(1, round(0.06 * images.shape[2]))))


def _data_address(picture: Image.Image) -> str:
    """The picture as a data: address, a PNG of 64 colours unless a WebP is less than half of it.

    Line drawings and grey digits are small and sharp as a palette, colour samples are small as WebP.
    """
    palette, webp = io.BytesIO(), io.BytesIO()
    picture.quantize(64, dither=Image.Dither.NONE).save(palette, "PNG", optimize=True)
    picture.save(webp, "WEBP", quality=88, method=4)
    kind, best = ("webp", webp) if 2 * webp.tell() < palette.tell() else ("png", palette)
    return f"data:image/{kind};base64,{base64.b64encode(best.getvalue()).decode()}"
