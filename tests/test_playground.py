"""The playground: its numbers against the package and SciPy, its stories, and the page as a reader uses it.

Its JavaScript runs in Chromium, in a page made here: the book need not be built. Without Chromium and its
driver the tests are skipped and say so.
"""

import functools
import math
import shutil
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import course_book
import numpy as np
import pytest
import test_browser
import torch
from scipy import optimize, special
from test_browser import (
    CONTRAST,
    QuietHandler,
    console_errors,
    foreign_requests,
)

from gan_course import divergences, losses, methods
from gan_course.nn.norms import spectral_norm
from gan_course.training.trainer import play

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "book/_static/playground"
browser = test_browser.browser  # the fixture
SEEDS = range(5)
TOLERANCE = 1e-5

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><link rel="icon" href="data:,">
<style>body { margin: 0 } html[data-theme=dark] body { background: #14171a; color: #ddd }
main { max-width: 52rem; margin: auto; padding: 1rem }</style></head>
<body><main><article><p>Before.</p>FIGURE<p>After.</p></article></main></body></html>
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with one page, as the book would have it, and the playground's files."""
    folder = tmp_path_factory.mktemp("playground")
    shutil.copytree(FOLDER, folder / "_static/playground")
    figure = course_book.playground_html("../_static", start="story=healthy&seed=1")
    (folder / "book").mkdir()
    (folder / "book/page.html").write_text(PAGE.replace("FIGURE", figure), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def address(site):
    handler = functools.partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


# ---- numbers -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def numbers(browser):
    """Evaluates JavaScript beside the playground's own, in an empty page."""
    browser.get("about:blank")
    for name in ("core.js", "world.js", "game.js"):
        browser.execute_script((FOLDER / name).read_text(encoding="utf-8"))
    browser.set_script_timeout(200)

    def evaluate(body, *values):
        return browser.execute_script(f"const GP = window.GanPlayground; {body}", *values)

    return evaluate


PLAY_STEPS = """
const [settings, weights, vectors, batches] = arguments;
const game = new GP.Game(settings);
const fill = (network, values) => network.parameters().forEach(([p], k) => p.set(values[k]));
fill(game.generator, weights.generator);
fill(game.discriminator, weights.discriminator);
game.discriminator.layers.forEach((layer, k) => {
  if (!layer.spectral) return;
  layer.spectral.u.set(vectors[k][0]);
  layer.spectral.v.set(vectors[k][1]);
});
const copy = (network, which) => network.parameters().map((pair) => [...pair[which]]);
const steps = batches.map(({ real, noise, alpha }) => {
  game.makeFakes(Float64Array.from(noise));
  const fake = [...game.fakes];
  const costD = game.moveD({ real: Float64Array.from(real), alpha: Float64Array.from(alpha) });
  const gradientD = copy(game.discriminator, 1);
  const costG = game.moveG();
  return { fake, costD, gradientD, costG, gradientG: copy(game.generator, 1) };
});
return { steps, generator: copy(game.generator, 0), discriminator: copy(game.discriminator, 0) };
"""


def flat(tensor):
    return tensor.detach().flatten().tolist()


def raw_parameters(network):
    """Weight, bias, weight, bias ...: the weights as stored, before any normalisation."""
    named = dict(network.named_parameters())
    layers = [name.removesuffix(".bias") for name in named if name.endswith(".bias")]
    stored = {layer: f"{layer}.parametrizations.weight.original" for layer in layers}
    return [
        named[name]
        for layer in layers
        for name in (stored[layer] if stored[layer] in named else f"{layer}.weight", f"{layer}.bias")
    ]


def in_torch(game, penalty, spectral, optimizer, batches):
    """The package's own networks, losses and step, in double precision, on those batches."""
    torch.manual_seed(3)
    method = methods.build(
        "gan",
        data_shape=(2,),
        noise="normal",
        noise_size=3,
        output="linear",
        generator_features=12,
        discriminator_features=10,
        maxout_pieces=2,
        input_dropout=0.0,
        hidden_dropout=0.0,
        init_range=0.6,
        discriminator_init_range=0.6,
        game=game,
        optimizer=optimizer,
        learning_rate=0.004,
        discriminator_learning_rate=0.003,
        beta1=0.5,
    ).double()
    for bias in (p for name, p in method.named_parameters() if name.endswith("bias")):
        torch.nn.init.normal_(bias, std=0.3)
    vectors = []
    if spectral:
        for linear in [m for m in method.discriminator.modules() if isinstance(m, torch.nn.Linear)]:
            spectral_norm(linear)
            norm = linear.parametrizations.weight[0]
            vectors.append([flat(norm._u), flat(norm._v)])
    networks = {"generator": method.generator, "discriminator": method.discriminator}
    weights = {name: [flat(p) for p in raw_parameters(network)] for name, network in networks.items()}

    terms_of_game = method.loss

    def loss_with_penalty(player, batch, outputs):
        terms = terms_of_game(player, batch, outputs)
        if player == "discriminator" and penalty:
            rng = torch.Generator().manual_seed(batch["seed"].item())
            norm = losses.gradient_penalty(method.discriminator, batch["image"], outputs["fake"], rng)
            terms["discriminator"] = terms["discriminator"] + penalty * norm
        return terms

    method.loss = loss_with_penalty
    optimizers = {player: method.optimizer(player) for player in method.players}
    steps = []
    for batch in batches:
        method.draw_noise = lambda *_, noise=batch["noise"]: noise
        with torch.no_grad():
            fake = method.generator(batch["noise"])
        terms = play(
            method, optimizers, {"image": batch["real"], "seed": torch.tensor([batch["seed"]])}, "float32"
        )
        steps.append(
            {
                "fake": flat(fake),
                "costD": terms["discriminator"].item(),
                "costG": terms["generator"].item(),
                "gradientD": [flat(p.grad) for p in raw_parameters(method.discriminator)],
                "gradientG": [flat(p.grad) for p in raw_parameters(method.generator)],
            }
        )
    after = {name: [flat(p) for p in raw_parameters(network)] for name, network in networks.items()}
    return weights, vectors, {"steps": steps, **after}


def differences(ours, theirs, path=""):
    if isinstance(ours, dict):
        for key in theirs:
            yield from differences(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, list) and theirs and isinstance(theirs[0], list | dict):
        assert len(ours) == len(theirs), path
        for k, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}/{k}")
    else:
        yield path, float(np.abs(np.subtract(ours, theirs)).max())


CASES = [
    *[(game, 0.0, False, "adam") for game in losses.GAMES],
    *[(game, 0.0, False, "sgd") for game in ("minimax", "hinge")],
    *[(game, 0.0, True, "adam") for game in ("non_saturating", "hinge")],
    ("wasserstein", 10.0, False, "adam"),
    ("wasserstein", 1.0, True, "sgd"),
]


@pytest.mark.parametrize(("game", "penalty", "spectral", "optimizer"), CASES)
def test_losses_gradients_and_steps_are_those_of_the_package(numbers, game, penalty, spectral, optimizer):
    rng = torch.Generator().manual_seed(7)
    batches = [
        {
            "real": torch.randn(24, 2, generator=rng, dtype=torch.float64),
            "noise": torch.randn(24, 3, generator=rng, dtype=torch.float64),
            "seed": seed,
        }
        for seed in range(3)
    ]
    weights, vectors, expected = in_torch(game, penalty, spectral, optimizer, batches)
    exported = []
    for batch in batches:
        mixing = torch.Generator().manual_seed(batch["seed"])
        alpha = torch.rand((24, 1), generator=mixing, dtype=torch.float64)
        exported.append({"real": flat(batch["real"]), "noise": flat(batch["noise"]), "alpha": flat(alpha)})
    settings = {
        "loss": game,
        "penalty": penalty,
        "spectral": int(spectral),
        "optD": optimizer,
        "optG": optimizer,
        "rateD": 0.003,
        "rateG": 0.004,
        "beta": 0.5,
        "noise": 3,
        "widthG": 12,
        "widthD": 10,
        "batch": 24,
    }
    got = numbers(PLAY_STEPS, settings, weights, vectors, exported)
    sizes = dict(differences(got, expected))
    worst = max(sizes, key=sizes.get)
    assert sizes[worst] < TOLERANCE, f"{worst} differs by {sizes[worst]:.1e}"
    gradients = [g for step in expected["steps"] for g in step["gradientD"] + step["gradientG"]]
    assert max(abs(v) for g in gradients for v in g) > 1e-3, "nothing was compared"


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("spectral", [0, 1])
def test_penalty_gradient_is_its_numerical_derivative(numbers, layers, spectral):
    """Any depth, against differences of the penalty itself."""
    body = """
    const [layers, spectral] = arguments;
    const random = new GP.Random(5, "check");
    const critic = new GP.Network([2, ...Array(layers).fill(7), 1], "maxout", 2);
    critic.initialise(random, () => 0.8);
    if (spectral) critic.normalise(random);
    const pass = critic.pass(6);
    const real = random.normals(new Float64Array(12)), fake = random.normals(new Float64Array(12));
    const alpha = Float64Array.from({ length: 6 }, () => random.uniform());
    critic.layers.forEach((l) => { l.iterate = () => {}; }); // u and v are constants to the gradient
    const penalty = () => {
      critic.zeroGradients();
      return GP.gradientPenalty(pass, real, fake, alpha, 6, 3);
    };
    penalty();
    const found = critic.parameters().map(([, g]) => [...g]);
    const numerical = critic.parameters().map(([p]) => [...p].map((value, i) => {
      p[i] = value + 1e-6; const high = penalty();
      p[i] = value - 1e-6; const low = penalty();
      p[i] = value;
      return (high - low) / 2e-6;
    }));
    return [found, numerical];
    """
    found, numerical = numbers(body, layers, spectral)
    for a, b in zip(found, numerical, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert max(abs(v) for a in found for v in a) > 1e-2


def test_divergences_are_those_of_the_package(numbers):
    body = """
    const target = GP.DATA.spiral(), random = new GP.Random(2, "check");
    const points = GP.sample(GP.DATA.ring(), random, 2048, new Float64Array(4096));
    const p = GP.density(target), q = GP.histogram(points, 2048), floored = GP.withFloor(q);
    return { p: [...p], q: [...q], floored: [...floored], kl: GP.kl(p, floored), js: GP.jensenShannon(p, q) };
    """
    got = numbers(body)
    p, q, floored = (torch.tensor(got[name], dtype=torch.float64) for name in ("p", "q", "floored"))
    assert got["kl"] == pytest.approx(divergences.kl(p, floored).item(), abs=1e-9)
    assert got["js"] == pytest.approx(divergences.jensen_shannon(p, q).item(), abs=1e-9)
    assert (floored > 0).all()


def test_density_is_that_of_the_mixture(numbers):
    body = "const t = GP.DATA.ring(); return [[...GP.density(t)], t.centres, t.deviation, GP.CELLS, GP.SPAN];"
    p, centres, deviation, cells, span = numbers(body)
    edges = np.linspace(-span, span, cells + 1)
    edges[0], edges[-1] = -np.inf, np.inf
    shares = [
        np.outer(*[np.diff(special.ndtr((edges - place) / deviation)) for place in (y, x)])
        for x, y in centres
    ]
    np.testing.assert_allclose(np.reshape(p, (cells, cells)), np.mean(shares, axis=0), atol=1e-6)


def test_coverage_counts_what_it_says(numbers):
    # 100 samples at the first mode, 2 at the second (its fair share is 12.75: enough is 2.04), 0 elsewhere
    body = """
    const target = GP.DATA.ring(), points = [];
    const put = (x, y, n) => { for (let k = 0; k < n; k++) points.push(x, y); };
    const [a, b, c] = target.modes;
    put(a[0] + 0.44, a[1], 90); put(a[0] + 0.46, a[1], 5); put(b[0], b[1], 2); put(c[0], c[1], 3);
    return GP.coverage(target, Float64Array.from(points), 100);
    """
    found = numbers(body)
    assert (found["modes"], found["of"]) == (3, 8)
    assert found["good"] == pytest.approx(0.95)
    assert found["covered"][:4] == [True, True, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_wasserstein_distance_is_the_optimum_of_the_linear_program(numbers, seed):
    cells = 5
    rng = np.random.default_rng(seed)
    p, q = (rng.dirichlet(np.full(cells * cells, 0.4)) for _ in range(2))
    body = "return new GP.Transport(arguments[0], arguments[1], arguments[2], 0.5).solve();"
    got = numbers(body, p.tolist(), q.tolist(), cells)
    places = 0.5 * np.stack(np.divmod(np.arange(cells * cells), cells), axis=1)
    costs = np.linalg.norm(places[:, None] - places[None], axis=2)
    n = cells * cells
    rows, columns = np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))
    best = optimize.linprog(costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([p, q]))
    assert got == pytest.approx(best.fun, abs=2e-3)  # cells with less than 1e-5 are left where they are


def test_random_numbers_are_uniform_and_normal(numbers):
    body = """
    const random = new GP.Random(1, "check"), n = 40000;
    const uniform = Array.from({ length: n }, () => random.uniform());
    return [uniform, [...random.normals(new Float64Array(n))]];
    """
    uniform, normal = map(np.array, numbers(body))
    assert np.abs(np.histogram(uniform, 20, (0, 1))[0] / 2000 - 1).max() < 0.12
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    assert abs((normal**4).mean() - 3) < 0.2
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.02


def test_a_run_is_a_function_of_its_settings(numbers):
    body = """
    const last = (seed) => {
      const game = new GP.Game({ seed, batch: 16, widthG: 8, widthD: 8 });
      const history = game.playTo(40);
      game.pull(game.discriminator.pass(4), new Float64Array(8), 4); // looking changes nothing
      game.measure();
      game.playTo(60);
      return JSON.stringify([game.costs, history.map((r) => r.js)]);
    };
    return [last(1), last(1), last(2)];
    """
    first, again, other = numbers(body)
    assert first == again != other


# ---- stories -------------------------------------------------------------------------------------------

STORY = """
const [name, seed] = arguments, story = GP.STORIES[name];
const game = new GP.Game({ ...story.settings, seed });
game.measure();
const startRadius = Math.hypot(...game.evaluate()) / Math.sqrt(GP.EVALUATED);
game.playTo(story.rounds + game.settings.head);
const points = game.evaluate().slice(0, 1024);
const pull = game.pull(game.discriminator.pass(512), points, 512);
let size = 0;
for (let n = 0; n < 512; n++) size += Math.hypot(pull[2 * n], pull[2 * n + 1]) / 512;
return {
  settings: game.settings, pull: size, costs: game.costs.D,
  radius: [startRadius, Math.hypot(...game.evaluate()) / Math.sqrt(GP.EVALUATED)],
  history: game.history.map(({ modes, covered, js, good }) => ({ modes, covered, js, good })),
};
"""
LOG_4 = math.log(4)


def second_half(values):
    return values[len(values) // 2 :]


def check_healthy(run):
    late = run["history"][-len(run["history"]) // 3 :]
    modes = [r["modes"] for r in late]
    assert min(modes) >= 7 and np.mean(modes) >= 7.8, f"modes {modes}"
    assert late[-1]["good"] > 0.6
    assert late[-1]["js"] < 0.4
    # neither player has won: D is a little better than guessing
    assert abs(np.mean(second_half(run["costs"])) - LOG_4) < 0.3


def check_collapse(run):
    late = [r["modes"] for r in second_half(run["history"])]
    assert max(late) <= 4 and np.mean(late) <= 2.5, f"modes {late}"
    # as the story says: by its cost it looks like the equilibrium
    assert np.abs(np.array(second_half(run["costs"])) - LOG_4).max() < 0.1


def check_strong(run):
    assert np.mean(second_half(run["costs"])) < 0.02
    assert all(r["modes"] <= 1 for r in second_half(run["history"]))
    assert run["pull"] < 0.01, f"the arrows are {run['pull']:.1e} long"
    assert abs(run["radius"][1] / run["radius"][0] - 1) < 0.25, f"the samples moved: {run['radius']}"


def check_oscillation(run):
    late = second_half(run["history"])
    visited = {k for r in late for k, covered in enumerate(r["covered"]) if covered}
    assert len(visited) >= 6, f"only {visited} visited"
    assert np.mean([r["modes"] for r in late]) <= 5
    assert max(np.mean([r["covered"][k] for r in late]) for k in range(8)) < 0.95, "one mode is never left"
    assert np.std(second_half(run["costs"])) > 0.25


def check_wasserstein(run):
    modes = [r["modes"] for r in run["history"]]
    assert modes[0] <= 1 and np.mean(modes[-5:]) >= 7, f"modes {modes}"
    assert run["pull"] > 0.3, f"the arrows are {run['pull']:.1e} long"
    assert run["history"][-1]["js"] < 0.55


CHECKS = {
    "healthy": check_healthy,
    "collapse": check_collapse,
    "strong": check_strong,
    "oscillation": check_oscillation,
    "wasserstein": check_wasserstein,
}


def test_every_story_is_checked(numbers):
    assert set(numbers("return Object.keys(GP.STORIES)")) == set(CHECKS)


def test_wasserstein_differs_from_the_strong_discriminator_in_the_loss_only(numbers):
    strong, saved = numbers("return [GP.STORIES.strong.settings, GP.STORIES.wasserstein.settings]")
    assert {key for key in strong | saved if strong.get(key) != saved.get(key)} == {"loss"}


@pytest.mark.parametrize("story", CHECKS)
def test_story_shows_what_its_name_says(numbers, story):
    CHECKS[story](numbers(STORY, story, 0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("story", CHECKS)
def test_story_shows_it_for_every_seed(numbers, story, seed):
    CHECKS[story](numbers(STORY, story, seed))


# ---- the page ------------------------------------------------------------------------------------------

each_origin = pytest.mark.parametrize("origin", ["server", "file"])
each_width = pytest.mark.parametrize("width", ["wide", "phone"])
SIZES = {"wide": (1280, 900), "phone": (360, 740)}


@pytest.fixture
def visit(browser, site, address):
    """Opens the page, at a place in it; from a file, the network is switched off before."""

    def visit(origin="server", width="wide", place=""):
        wide, high = SIZES[width]
        phone = width == "phone"
        size = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": phone}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": origin == "file"})
        browser.get("about:blank")
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        base = site.as_uri() if origin == "file" else address
        browser.get(f"{base}/book/page.html{place}")
        return browser

    yield visit
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def wait(browser, condition, message, seconds=60):
    from selenium.webdriver.support.ui import WebDriverWait

    script = f"const app = window.GanPlayground?.apps?.[0]; return Boolean({condition});"
    WebDriverWait(browser, seconds, poll_frequency=0.1).until(
        lambda driver: driver.execute_script(script), message
    )


def app(browser, expression):
    return browser.execute_script(f"const app = GanPlayground.apps[0]; return {expression};")


def press(browser, selector):
    """By finger on a phone, by mouse elsewhere."""
    element = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", element)
    if browser.execute_script("return navigator.maxTouchPoints > 0"):
        box = "const b = arguments[0].getBoundingClientRect(); "
        x, y = browser.execute_script(box + "return [b.x + b.width / 2, b.y + b.height / 2]", element)
        touch(browser, [(x, y)])
    else:
        element.click()


def touch(browser, places):
    """A finger goes down, along the places, and up."""
    for k, (x, y) in enumerate(places):
        kind = "touchMove" if k else "touchStart"
        event = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def begin(browser):
    press(browser, ".gp-open")
    wait(browser, "app && app.game", "the playground did not start")


def pause(browser):
    if app(browser, "app.playing"):
        press(browser, "[data-do=play]")
    wait(browser, "!app.playing && !app.dirty && !app.plane.from", "it does not pause")


def picture(browser):
    return browser.execute_script("return document.querySelector('.gp-plane canvas').toDataURL()")


LOADED = """
return performance.getEntriesByType("resource").map((e) => e.name).filter((n) => n.endsWith(".js"))
  .concat([...document.scripts].map((s) => s.src)).map((n) => n.split("/").pop());
"""
SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth;"


@each_origin
@each_width
def test_it_plays(visit, origin, width):
    browser = visit(origin, width)
    assert set(browser.execute_script(LOADED)) == {"loader.js"}, "a page without a touch loads the playground"
    poster = "return [...document.querySelectorAll('.gp-poster')].filter((i) => i.offsetWidth).length"
    assert browser.execute_script(poster) == 1

    begin(browser)
    wait(browser, "app.playing && app.game.round >= 2", "it does not play")
    before = picture(browser)
    wait(browser, "app.game.round >= 6", "it stands still")
    pause(browser)
    assert picture(browser) != before

    reached = app(browser, "app.game.round")
    press(browser, "[data-do=both]")
    assert app(browser, "app.game.round") == reached + 1
    assert browser.execute_script(SIDEWAYS) <= 1
    errors, asked = console_errors(browser), foreign_requests(browser)
    assert not errors, f"the console says {errors}"
    assert not asked, f"loads from elsewhere: {asked}"


def test_each_player_moves_alone(visit):
    browser = visit()
    begin(browser)
    pause(browser)
    look = "[[...app.game.generator.layers[1].weight], [...app.game.discriminator.layers[1].weight]]"
    wait_still = "!app.plane.from && !app.dirty"
    start, seen = app(browser, look), picture(browser)
    press(browser, "[data-do=D]")
    after_d = app(browser, look)
    assert after_d[0] == start[0] and after_d[1] != start[1]
    wait(browser, wait_still, "the move of D does not end")
    assert picture(browser) != seen, "a move of D is not seen"
    seen = picture(browser)
    press(browser, "[data-do=G]")
    after_g = app(browser, look)
    assert after_g[0] != after_d[0] and after_g[1] == after_d[1]
    wait(browser, wait_still, "the move of G does not end")
    assert picture(browser) != seen, "a move of G is not seen"


def test_slow_motion_shows_one_move_after_the_other(visit):
    browser = visit()
    begin(browser)
    pause(browser)
    press(browser, "[data-speed=slow]")
    reached = app(browser, "app.game.round")
    press(browser, "[data-do=play]")
    chip = "document.querySelector('.gp-chip').textContent"
    wait(browser, f"{chip}.includes('discriminator')", "D is not announced")
    wait(browser, f"{chip}.includes('generator')", "G is not announced")
    assert app(browser, "app.game.round") <= reached + 3


@pytest.mark.parametrize("story", CHECKS)
def test_story_is_one_click(visit, story):
    browser = visit()
    begin(browser)
    press(browser, f"[data-story={story}]")
    wait(browser, f"app.story === '{story}' && app.playing && app.game.clock >= 2", f"{story} does not play")
    pressed = browser.execute_script(
        "return [...document.querySelectorAll('[data-story][aria-pressed=true]')].map((b) => b.dataset.story)"
    )
    assert pressed == [story]
    asked = app(browser, f"GanPlayground.STORIES['{story}'].settings")
    assert asked.items() <= app(browser, "app.game.settings").items()
    assert f"story={story}" in browser.current_url


ALL_SETTINGS = {
    "data": "spiral",
    "loss": "wasserstein",
    "penalty": "3",
    "beta": "0.9",
    "batch": "32",
    "seed": "7",
    "rateD": "0.01",
    "stepsD": "3",
    "layersD": "3",
    "widthD": "16",
    "optD": "sgd",
    "head": "50",
    "spectral": "1",
    "rateG": "0.005",
    "stepsG": "2",
    "layersG": "1",
    "widthG": "16",
    "optG": "sgd",
    "noise": "1",
    "start": "0.5",
}
TURN = """
const app = GanPlayground.apps[0], [key, value] = arguments;
const control = document.getElementById(`${app.id}-${key}`);
if (control.type === "checkbox") control.click();
else {
  const texts = [];
  if (control.type === "range") {
    for (let k = 0; k <= Number(control.max); k++) {
      control.value = k;
      control.dispatchEvent(new Event("input", { bubbles: true }));
      texts.push(control.getAttribute("aria-valuetext"));
    }
    control.value = texts.indexOf(value);
    control.dispatchEvent(new Event("input", { bubbles: true }));
  } else control.value = value;
  control.dispatchEvent(new Event("change", { bubbles: true }));
}
return String(app.game.settings[key]);
"""


def test_every_setting_does_something_and_is_in_the_address(visit):
    browser = visit()
    begin(browser)
    pause(browser)
    known = set(app(browser, "Object.keys(GanPlayground.SETTINGS)"))
    assert known == {*ALL_SETTINGS, "points"}
    press(browser, "[data-do=restart]")
    for key, value in ALL_SETTINGS.items():
        assert browser.execute_script(TURN, key, value) == value, key
        assert f"{key}={value}" in browser.current_url, key
    sizes = "[app.game.generator, app.game.discriminator].map((n) => n.layers.map((l) => l.units))"
    assert app(browser, sizes) == [[16, 2], [16, 16, 16, 1]]
    assert app(browser, "app.game.discriminator.layers.every((l) => l.spectral)")
    press(browser, "[data-do=both]")
    assert not console_errors(browser)


@each_origin
def test_the_address_holds_the_run(visit, origin):
    browser = visit(origin)
    begin(browser)
    pause(browser)
    browser.execute_script(TURN, "seed", "4")
    press(browser, "[data-do=both]")
    press(browser, "[data-do=D]")
    press(browser, "[data-do=D]")
    browser.execute_script(TURN, "rateG", "0.01")
    browser.execute_script(TURN, "loss", "hinge")
    press(browser, "[data-do=both]")
    press(browser, "[data-do=G]")
    press(browser, "[data-do=both]")
    state = (
        "[app.game.clock, app.game.costs.D, app.game.generator.layers[1].weight.slice(0, 9), app.game.events]"
    )
    left, place = app(browser, state), browser.current_url.partition("#")[2]

    visit(origin, place=f"#{place}")
    assert "in this link" in browser.find_element("css selector", ".gp-open").text
    begin(browser)
    wait(browser, f"!app.playing && app.game.clock >= {left[0]}", "the run of the link does not end")
    assert app(browser, state) == left
    assert browser.current_url.partition("#")[2] == place


def test_a_broken_address_is_told(visit):
    place = "#gan?story=nosuch&loss=hinge&seed=-1&rateD=abc&at=3~D~x!oops&until=zz&%E0%A4%A=1"
    browser = visit(place=place)
    begin(browser)
    said = browser.find_element("css selector", ".gp-status").text
    for wrong in ("story=nosuch", "seed=-1", "rateD=abc", "3~D~x", "oops", "until=zz"):
        assert wrong in said
    assert app(browser, "[app.story, app.game.settings.loss, app.game.settings.seed]") == [
        "healthy",
        "hinge",
        0,
    ]
    assert not console_errors(browser)


@each_origin
@each_width
def test_one_draws_data(visit, origin, width):
    from selenium.webdriver import ActionChains, Keys

    browser = visit(origin, width, "#gan?data=draw")
    begin(browser)
    wait(browser, "!app.playing", "it plays without data")
    canvas = browser.find_element("css selector", ".gp-plane canvas")
    browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    corner = browser.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y]", canvas
    )
    scrolled = browser.execute_script("return scrollY")
    path = [(60 + 15 * k, 80 + 12 * k) for k in range(9)]
    if width == "phone":
        touch(browser, [(corner[0] + x, corner[1] + y) for x, y in path])
    else:
        side = canvas.size["width"]
        pen = ActionChains(browser, duration=30)
        pen.move_to_element_with_offset(canvas, *(round(v - side / 2) for v in path[0])).click_and_hold()
        for x, y in path[1:]:
            pen.move_to_element_with_offset(canvas, round(x - side / 2), round(y - side / 2))
        pen.release().perform()
    wait(browser, "app.playing && app.game.round > 0", "it does not play what was drawn")
    assert browser.execute_script("return scrollY") == scrolled, "the page scrolls under the pen"
    points = app(browser, "app.game.target.centres")
    assert len(points) >= 5
    xs, ys = np.array(points).T
    assert np.all(np.diff(xs) > 0) and np.all(np.diff(ys) < 0), "the drawing is not where the pen was"
    assert "points=" in browser.current_url

    pause(browser)
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ENTER)
    assert len(app(browser, "app.game.target.centres")) == len(points) + 1
    canvas.send_keys(Keys.BACKSPACE)
    assert app(browser, "app.game.target.centres") == points
    press(browser, "[data-do=clear]")
    assert app(browser, "app.initial.points") == ""
    assert not console_errors(browser)


def test_keys_play(visit):
    from selenium.webdriver import ActionChains, Keys

    browser = visit()
    browser.find_element("css selector", ".gp-open").send_keys(Keys.ENTER)
    wait(browser, "app && app.playing", "Enter does not open it")
    focused = "return document.activeElement.dataset.do"
    assert browser.execute_script(focused) == "play", "the focus is lost"
    canvas = browser.find_element("css selector", ".gp-plane canvas")
    canvas.send_keys(" ")
    wait(browser, "!app.playing", "Space does not pause")
    reached = app(browser, "app.game.round")
    canvas.send_keys("b")
    assert app(browser, "app.game.round") == reached + 1
    canvas.send_keys("dgg")
    assert app(browser, "app.game.events.map((e) => [e[1], e[2]])") == [["D", 1], ["G", 2]]
    canvas.send_keys("n")
    assert app(browser, "[app.game.settings.seed, app.game.round]") == [2, 0]
    canvas.send_keys("s")
    assert app(browser, "app.speed") == "slow"
    seed = browser.find_element("css selector", "[data-key=seed] input")
    seed.send_keys("d")  # a letter in a field is a letter in a field
    assert app(browser, "app.game.events") == []
    # every control can be reached, in the order of the page
    browser.execute_script("document.querySelector('[data-story]').focus()")
    reached = []
    for _ in range(12):
        reached.append(browser.execute_script("return document.activeElement.tagName"))
        ActionChains(browser).send_keys(Keys.TAB).perform()
    assert {"BUTTON", "CANVAS"} <= set(reached)


NAMELESS = """
const nameless = [];
for (const e of document.querySelectorAll(".gp-app :is(button, input, select, canvas)")) {
  const label = e.labels && e.labels.length ? e.labels[0].textContent : "";
  if (!(e.getAttribute("aria-label") || label || e.textContent || "").trim()) nameless.push(e.outerHTML);
}
return nameless;
"""
SMALL = """
return [...document.querySelectorAll(".gp-app :is(button, input, select, summary)")]
  .filter((e) => e.offsetWidth && !(e.type === "checkbox" && e.closest("label").offsetHeight >= 24))
  .filter((e) => Math.min(e.offsetHeight, e.offsetWidth) < 24).map((e) => e.outerHTML);
"""
BRIGHTNESS = """
const canvas = document.querySelector(".gp-plane canvas"), c = canvas.getContext("2d");
const { data } = c.getImageData(0, 0, canvas.width, canvas.height);
let sum = 0;
for (let k = 0; k < data.length; k += 4) sum += data[k] + data[k + 1] + data[k + 2];
return sum / (data.length / 4) / 3;
"""


@each_width
def test_it_is_readable(visit, width):
    browser = visit("server", width)
    begin(browser)
    wait(browser, "app.game.round >= 2", "it does not play")
    pause(browser)
    browser.execute_script("document.querySelector('.gp-settings').open = true")
    assert not browser.execute_script(NAMELESS)
    assert not browser.execute_script(SMALL)
    label = browser.find_element("css selector", ".gp-plane canvas").get_attribute("aria-label")
    assert f"Round {app(browser, 'app.game.round')}: " in label
    levels = {}
    for theme in ("light", "dark"):
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        wait(browser, "!app.dirty", "the theme is not drawn")
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        levels[theme] = browser.execute_script(BRIGHTNESS)
        faint = browser.execute_script(CONTRAST)
        assert not faint, f"{theme}: text too faint: {faint}"
        assert browser.execute_script(SIDEWAYS) <= 1
    assert levels["light"] > 180 and levels["dark"] < 90, levels


def test_without_javascript_the_picture_stays(visit):
    browser = visit()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        text = browser.find_element("css selector", ".gan-playground").text
        assert "needs JavaScript" in text
        assert not browser.find_element("css selector", ".gp-open").is_displayed()
        posters = browser.find_elements("css selector", ".gp-poster")
        assert [p.is_displayed() for p in posters].count(True) == 1
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_directive_finds_its_files(tmp_path, monkeypatch):
    from sphinx.cmd.build import main

    monkeypatch.setenv("COURSE_EXECUTED", str(tmp_path / "executed"))
    (tmp_path / "part").mkdir()
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "course_book"]\n')
    (tmp_path / "index.md").write_text("# A book\n\n```{toctree}\npart/page\n```\n")
    page = "# A page\n\n```{playground}\n:start: story=collapse&seed=3\n:invitation: Open <it>\n```\n"
    (tmp_path / "part/page.md").write_text(page)
    assert main(["-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "out")]) == 0
    built = (tmp_path / "out/part/page.html").read_text(encoding="utf-8")
    assert 'src="../_static/playground/loader.js"' in built
    assert 'data-start="story=collapse&amp;seed=3"' in built
    assert "Open &lt;it&gt;" in built


def test_a_script_that_does_not_load_is_told(visit, site):
    script = site / "_static/playground/view.js"
    kept = script.read_bytes()
    script.unlink()
    try:
        browser = visit("file")
        press(browser, ".gp-open")
        why = "document.querySelector('.gp-why').textContent.includes('view.js')"
        wait(browser, why, "nothing is said")
        assert browser.find_element("css selector", ".gp-poster-light").is_displayed()
    finally:
        script.write_bytes(kept)
