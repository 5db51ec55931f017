"""What the pictures hold: pixels of grids, smoothing, arcs in latent space, and the HTML of the scrubber."""

import base64
import io
import json
import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from gan_course import plots


@pytest.fixture(autouse=True)
def no_figures_left_open():
    plt.close("all")
    yield
    assert not plt.get_fignums()


# ---- grids -----------------------------------------------------------------------------------------


def drawn(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def test_grid_holds_every_image_in_reading_order():
    values = torch.linspace(-1, 1, 6)
    images = values.reshape(6, 1, 1, 1).expand(6, 1, 10, 10)
    mosaic = drawn(plots.image_grid(images, columns=4))
    assert mosaic.shape == (10 + 1 + 10, 4 * 11 - 1, 3)
    for index, value in enumerate(values):
        row, column = divmod(index, 4)
        cell = mosaic[row * 11 : row * 11 + 10, column * 11 : column * 11 + 10]
        assert (cell == round((value.item() + 1) * 127.5)).all()
    assert (mosaic[11:, 22:] == 255).all()  # the places without an image are white


def test_grid_takes_bytes_and_colours_as_they_are():
    images = torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mosaic = drawn(plots.image_grid(images, columns=8))
    np.testing.assert_array_equal(mosaic[:, :8], images[0].permute(1, 2, 0))
    np.testing.assert_array_equal(mosaic[:, 18:], images[2].permute(1, 2, 0))


def test_grid_titles_and_foreign_axes():
    figure = plots.image_grid(torch.zeros(3, 1, 8, 8), titles=["a", "b", "c"], title="Digits")
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c"]
    assert figure.axes[0].get_title() == "Digits"

    own, (_, right) = plt.subplots(1, 2)
    assert plots.image_grid(torch.zeros(2, 1, 8, 8), ax=right) is own
    assert right.images
    assert plt.fignum_exists(own.number)  # the caller's figure stays open
    plt.close(own)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8), r"\[N, C, H, W\].*\[3, 8, 8\]"),
        (torch.zeros(3, 2, 8, 8), r"C = 1 or 3.*\[3, 2, 8, 8\]"),
        (torch.zeros(0, 1, 8, 8), "N > 0"),
        (torch.full((1, 1, 8, 8), 255.0), r"floats in \[-1, 1\] or uint8, got 255 to 255"),
        (torch.full((1, 1, 8, 8), float("nan")), "got nan"),
    ],
)
def test_grid_refuses_what_is_not_images(images, message):
    with pytest.raises(ValueError, match=message):
        plots.image_grid(images)


def test_grid_refuses_a_wrong_number_of_titles():
    with pytest.raises(ValueError, match="2 titles for 3 images"):
        plots.image_grid(torch.zeros(3, 1, 8, 8), titles=["a", "b"])


# ---- curves ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-5, 5), st.floats(0, 0.99), st.integers(1, 30))
def test_a_constant_stays_that_constant(value, decay, length):
    np.testing.assert_allclose(plots.smoothed([value] * length, decay), value, atol=1e-9)


def test_smoothing_weighs_the_past_less_and_less():
    np.testing.assert_allclose(plots.smoothed([1.0, 4.0, 2.0], 0), [1, 4, 2])
    np.testing.assert_allclose(plots.smoothed([1.0, 4.0], 0.5), [1, (0.5 * 1 + 4) / 1.5])
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1"):
        plots.smoothed([1.0], 1)


def test_curves_draw_raw_and_smoothed_and_leave_gaps_out():
    log = {"step": [0, 50, 100], "generator": [1.0, np.nan, 3.0], "D(x)": [0.9, 0.8, 0.7]}
    ax = plots.curves(log, {"generator": "cost of G", "D(x)": "D(x)"}, smooth=0.5).axes[0]
    raw, smooth = ax.lines[:2]
    assert raw.get_xydata().tolist() == [[0, 1], [100, 3]]
    assert smooth.get_ydata()[1] == pytest.approx((0.5 * 1 + 3) / 1.5)
    assert raw.get_alpha() < 1
    assert smooth.get_color() == plots.COLOURS["generator"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cost of G", "D(x)"]
    assert len(plots.curves(log, ["generator"], smooth=0).axes[0].lines) == 1


def test_curves_name_the_columns_there_are():
    with pytest.raises(ValueError, match=r"no column critic; it has: step, generator"):
        plots.curves({"step": [0], "generator": [1.0]}, ["critic"])


# ---- latent space ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20))
def test_slerp_runs_from_start_to_end_on_the_sphere_at_even_angles(seed, steps):
    rng = torch.Generator().manual_seed(seed)
    ends = torch.nn.functional.normalize(torch.randn(2, 5, 100, generator=rng, dtype=torch.float64), dim=-1)
    arc = plots.slerp(ends[0], ends[1], steps)
    assert arc.shape == (steps, 5, 100)
    torch.testing.assert_close(arc[0], ends[0])
    torch.testing.assert_close(arc[-1], ends[1])
    torch.testing.assert_close(arc.norm(dim=-1), torch.ones(steps, 5, dtype=torch.float64))
    angles = torch.acos((arc[1:] * arc[:-1]).sum(-1))
    torch.testing.assert_close(angles, angles[:1].expand_as(angles), rtol=1e-5, atol=1e-6)


def test_slerp_of_one_vector_and_of_parallel_ones():
    start = torch.tensor([1.0, 0.0])
    middle = plots.slerp(start, torch.tensor([0.0, 1.0]), 3)[1]
    torch.testing.assert_close(middle, torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(plots.slerp(start, 3 * start, 3)[:, 0], torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("start", "end", "steps", "message"),
    [
        (torch.ones(2, 3), torch.ones(3), 4, r"\[2, 3\] and \[3\]"),
        (torch.ones(3), torch.ones(3), 1, "at least 2 steps, got 1"),
        (torch.zeros(3), torch.ones(3), 4, "zero vector"),
        (torch.ones(3), -torch.ones(3), 4, "opposite"),
    ],
)
def test_slerp_refuses(start, end, steps, message):
    with pytest.raises(ValueError, match=message):
        plots.slerp(start, end, steps)


def test_latent_walk_shapes_and_ends():
    def sample(noise):
        return noise[:, :4].reshape(-1, 1, 2, 2)

    start, end = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0))
    frames = plots.latent_walk(sample, start, end, steps=5)
    assert frames.shape == (5, 6, 1, 2, 2)
    torch.testing.assert_close(frames[0], sample(start))
    torch.testing.assert_close(frames[-1], sample(end))
    assert plots.latent_walk(sample, start[0], end[0], steps=5).shape == (5, 1, 2, 2)


# ---- the scrubber ----------------------------------------------------------------------------------


def frames_of(page: str) -> list[Image.Image]:
    data = json.loads(re.search(r'class="scrubber-data">(.*?)</script>', page, re.S)[1])
    return [Image.open(io.BytesIO(base64.b64decode(frame.split(",")[1]))) for frame in data["frames"]]


def test_scrubber_takes_every_kind_of_frame(tmp_path):
    path = tmp_path / "grid.png"
    Image.new("RGB", (40, 40), "red").save(path)
    figure, _ = plt.subplots(figsize=(2, 1), dpi=50)
    (from_figure,) = frames_of(plots.scrubber([figure], ["a"]).data)
    assert from_figure.size == (100, 50)

    arrays = [path, str(path), Image.new("L", (40, 40), 128), torch.zeros(1, 40, 40), -np.ones((3, 40, 40))]
    pictures = frames_of(plots.scrubber(arrays, list("abcde")).data)
    assert [picture.convert("RGB").getpixel((20, 20)) for picture in pictures] == [
        (255, 0, 0),
        (255, 0, 0),
        (128, 128, 128),
        (128, 128, 128),
        (0, 0, 0),
    ]
    batches = torch.zeros(2, 9, 1, 16, 16)  # what a latent walk gives: a grid of three by three in each frame
    assert frames_of(plots.scrubber(batches, [0, 1]).data)[0].size == (50, 50)


def test_scrubber_shows_a_frame_without_javascript():
    frames = [torch.full((1, 8, 8), value) for value in (-1.0, 0.0, 1.0)]
    page = plots.scrubber(frames, [0, 1000, 2000], label="step", alt="Samples", start=-1).data
    image = re.search(r'<img class="scrubber-frame[^>]*>', page, re.S)[0]
    shown = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]*)", image)[1]))).convert("L")
    assert shown.getpixel((4, 4)) == 255
    assert 'alt="Samples (step 2,000)"' in image
    assert 'class="scrubber-controls" hidden' in page
    assert re.search(r"<output[^>]*>step 2,000</output>", page)


def test_scrubber_is_self_contained_and_safe_with_any_caption():
    nasty = '</script><img src="https://example.org/x">&"'
    page = plots.scrubber(
        [torch.zeros(1, 8, 8)] * 2, [nasty, "b"], alt=nasty, label=nasty, caption=nasty
    ).data
    assert "<img src" not in page
    assert page.count("</script>") == 2  # the data and the code, nothing that a caption closed
    assert json.loads(re.search(r'scrubber-data">(.*?)</script>', page, re.S)[1])["captions"][0] == nasty
    outside = re.findall(r'(?:src|href)="(?!data:)', page)
    assert not outside


def test_two_scrubbers_of_one_content_have_their_own_ids():
    pages = [plots.scrubber([torch.zeros(1, 8, 8)], ["a"]).data for _ in range(2)]
    first, second = (re.search(r'<figure class="scrubber" id="([^"]+)"', page)[1] for page in pages)
    assert first != second


def test_scrubber_keeps_drawings_small():
    frames = []
    for shift in np.linspace(0, 2, 4):
        figure, ax = plt.subplots(figsize=(7, 3.5), dpi=110)
        ax.plot(np.sin(np.linspace(0, 9, 200) + shift))
        frames.append(figure)
    page = plots.scrubber(frames, range(4)).data
    assert len(page) / 4 < 40_000


@pytest.mark.parametrize(
    ("frames", "captions", "options", "message"),
    [
        ([], [], {}, "0 frames"),
        ([torch.zeros(1, 8, 8)], ["a", "b"], {}, "1 frames, 2 captions"),
        ([torch.zeros(1, 8, 8), torch.zeros(1, 8, 9)], ["a", "b"], {}, r"one size.*\(8, 8\), \(9, 8\)"),
        ([torch.zeros(8, 8)], ["a"], {}, "N, C, H, W"),
        ([torch.zeros(1, 8, 8)], ["a"], {"start": 1}, "start is one of 1 frames, got 1"),
    ],
)
def test_scrubber_refuses(frames, captions, options, message):
    with pytest.raises(ValueError, match=message):
        plots.scrubber(frames, captions, **options)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_scrubber_moves_its_own_picture_in_a_browser(tmp_path):
    frames = [torch.full((1, 8, 8), value) for value in (-1.0, 0.0, 1.0)]
    first, second = (
        plots.scrubber(frames, ["dark", "grey", "light"], alt=alt).data for alt in ("one", "two")
    )
    move = """<script>
      const [one, two] = document.querySelectorAll(".scrubber");
      one.querySelector("input").value = 2;
      one.querySelector("input").dispatchEvent(new Event("input"));
      document.title = [one, two].map((root) => root.querySelector("output").textContent).join(",");
      const data = [one, two].map((root) => JSON.parse(root.querySelector(".scrubber-data").textContent));
      document.title += one.querySelector("img").src === data[0].frames[2] ? ",moved" : ",stuck";
      document.title += two.querySelector("img").src === data[1].frames[0] ? ",still" : ",moved";
      document.title += one.querySelector(".scrubber-controls").hidden ? ",hidden" : ",shown";
      document.title += "," + one.querySelector("input").getAttribute("aria-valuetext");
    </script>"""
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset='utf-8'><body>{first}{second}{move}")
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    dom = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", dom.stdout)[1]
    assert title == "light,dark,moved,still,shown,light"
