// Digits on request: the conditional DCGAN of the book, asked by buttons.
(function () {
  "use strict";
  const { register, tensor, gaussian, paint } = window.GanDemos;
  const { element, button, choice, slider, pad, screen } = window.GanControls;
  const NOISE = 100, CLASSES = 10, REACH = 8; // how far the pad goes: a noise vector is about 10 long

  // A vector of length 1 with these seeds' randomness, at right angles to those before it.
  function direction(seed, before) {
    const vector = gaussian(NOISE, seed);
    for (const other of before) {
      const along = vector.reduce((sum, v, k) => sum + v * other[k], 0);
      vector.forEach((_, k) => { vector[k] -= along * other[k]; });
    }
    const length = Math.hypot(...vector);
    return vector.map((v) => v / length);
  }

  // What to ask for: noise [N, 100] and how much of each class [N, 10].
  function request(noises, classes) {
    const join = (rows, width) => Float32Array.from({ length: rows.length * width }, (_, k) => rows[Math.floor(k / width)][k % width]);
    return {
      noise: tensor(join(noises, NOISE), [noises.length, NOISE]),
      classes: tensor(join(classes, CLASSES), [classes.length, CLASSES]),
    };
  }

  const oneHot = (digit) => Array.from({ length: CLASSES }, (_, k) => Number(k === digit));

  function start(stage) {
    const { generator } = stage.networks;
    let seed = 1, origin, first, second;
    const reseed = () => {
      origin = gaussian(NOISE, seed);
      first = direction(1000 + seed, []);
      second = direction(2000 + seed, [first]);
    };
    reseed();

    const shown = screen("the digit", { class: "demo-pixels demo-large" });
    const row = Array.from({ length: CLASSES }, (_, digit) => screen(String(digit), { class: "demo-pixels", "aria-label": `${digit} from the same noise` }));

    const draw = stage.following(async () => {
      const [x, y] = noise.value, share = morph.value;
      const vector = origin.map((v, k) => v + REACH * (x * first[k] + y * second[k]));
      const asked = oneHot(from.value).map((v, k) => (1 - share) * v + share * Number(k === to.value));
      const classes = [asked, ...row.map((_, digit) => oneHot(digit))];
      const { images } = await generator.run(request(classes.map(() => vector), classes));
      paint(shown.canvas, images, 0);
      row.forEach(({ canvas }, digit) => paint(canvas, images, digit + 1));
      shown.canvas.setAttribute("aria-label", share ? `${Math.round(100 * (1 - share))} % ${from.value}, ${Math.round(100 * share)} % ${to.value}` : `a ${from.value}`);
    });

    const digits = Array.from({ length: CLASSES }, (_, digit) => ({ text: String(digit), value: digit }));
    const from = choice("digit", digits, 3, () => { morph.set(0); draw(); });
    const to = choice("towards", digits, 8, draw);
    const morph = slider("way", { min: 0, max: 1, value: 0, written: (v) => `${Math.round(100 * v)} %` }, draw);
    const noise = pad("two directions of the noise", [0, 0], draw);
    const again = button("new noise", () => { seed += 1; reseed(); noise.set([0, 0]); draw(); });

    stage.root.append(
      element("div", { class: "demo-columns" },
        element("div", {}, shown.element),
        element("div", { class: "demo-controls" }, from.element, to.element, morph.element),
        element("div", { class: "demo-controls" }, noise.element, again)),
      element("div", { class: "demo-row", role: "group", "aria-label": "all ten digits from this noise" }, ...row.map((s) => s.element)));
    return draw();
  }

  register("digits", { networks: ["generator"], start });
})();
