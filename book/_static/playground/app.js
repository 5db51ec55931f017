// The controls: stories, buttons, settings, drawing, keyboard, the address; and the loop that plays and draws.
(function (root) {
  "use strict";
  const GP = (root.GanPlayground = root.GanPlayground || {});

  const RATES = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
  const upTo = (n) => Array.from({ length: n }, (_, k) => k + 1);
  const GAMES = {
    minimax: "minimax", non_saturating: "non-saturating", least_squares: "least squares", hinge: "hinge",
    wasserstein: "Wasserstein + gradient penalty",
  };
  const DATA = {
    ring: "ring of 8 Gaussians", grid: "grid of 9 Gaussians", line: "line", spiral: "spiral", draw: "draw your own",
  };
  const OPTIMIZERS = { adam: "Adam", sgd: "SGD" };

  // key: [label, choices (object), or values (array), or a kind]
  const GROUPS = [
    ["The game", {
      data: ["Data", DATA],
      loss: ["Loss", GAMES],
      penalty: ["Weight of the penalty", [0.1, 0.3, 1, 3, 10]],
      beta: ["Momentum β₁", [0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]],
      batch: ["Batch size", [32, 64, 128, 256]],
      seed: ["Seed", "seed"],
    }],
    ["Discriminator", {
      rateD: ["Learning rate", RATES],
      stepsD: ["Steps a round", upTo(10)],
      layersD: ["Hidden layers", upTo(4)],
      widthD: ["Units a layer", [8, 16, 32, 64, 128]],
      optD: ["Optimiser", OPTIMIZERS],
      head: ["Head start, in steps", [0, 50, 100, 200, 400, 800]],
      spectral: ["Spectral normalisation", "check"],
    }],
    ["Generator", {
      rateG: ["Learning rate", RATES],
      stepsG: ["Steps a round", upTo(10)],
      layersG: ["Hidden layers", upTo(4)],
      widthG: ["Units a layer", [8, 16, 32, 64, 128]],
      optG: ["Optimiser", OPTIMIZERS],
      noise: ["Noise dimension", [1, 2, 3, 4, 8, 16]],
      start: ["Size of the first weights", [0.25, 0.5, 0.66, 1, 1.5, 2]],
    }],
  ];
  const SPEEDS = { slow: "slow motion", steady: "steady", fast: "fast" };
  const SLOW_MOVE = 1100; // milliseconds for one move in slow motion
  const ICONS = {
    play: '<path d="M6 3.5v13l11-6.5z"/>',
    pause: '<path d="M5 3.5h3.6v13H5zM11.4 3.5H15v13h-3.6z"/>',
    restart: '<path d="M10 3a7 7 0 1 0 7 7h-2.2A4.8 4.8 0 1 1 10 5.2V8l5-4-5-4z"/>',
    both: '<path d="M3.5 3.5v13l8.5-6.5zM13.5 3.5h3v13h-3z"/>',
  };
  const icon = (name) => `<svg viewBox="0 0 20 20" aria-hidden="true" focusable="false">${ICONS[name]}</svg>`;

  // ---- the address --------------------------------------------------------------------------------------

  const MARK = "#gan?";

  // {story, settings, script, until} -> text. Only what differs from the story is written.
  function toAddress({ story, settings, script, until }) {
    const parts = [`story=${story}`];
    const base = { ...GP.defaults(), ...GP.STORIES[story].settings };
    for (const key of Object.keys(GP.SETTINGS)) {
      if (settings[key] !== base[key]) parts.push(`${key}=${settings[key]}`);
    }
    if (script.length) parts.push(`at=${script.map((event) => event.join("~")).join("!")}`);
    if (until) parts.push(`until=${until}`);
    return MARK + parts.join("&");
  }

  // The same back; what it cannot read is left out and listed in `unknown`.
  function fromAddress(text) {
    const state = { story: "healthy", settings: {}, script: [], until: 0, unknown: [] };
    const pairs = text.slice(text.indexOf("?") + 1).split("&").filter(Boolean);
    const given = {};
    for (const pair of pairs) {
      const at = pair.indexOf("=");
      const [key, value] = [pair.slice(0, at), decode(pair.slice(at + 1))];
      const known = key === "story" ? value in GP.STORIES : key === "until" ? /^\d+$/.test(value) : true;
      if (key === "story" && known) state.story = value;
      else if (key === "until" && known) state.until = Number(value);
      else if (key === "at") state.script = script(value, state.unknown);
      else if (known && GP.parse(key, value) !== undefined) given[key] = GP.parse(key, value);
      else state.unknown.push(pair);
    }
    state.settings = { ...GP.defaults(), ...GP.STORIES[state.story].settings, ...given };
    return state;
  }

  function script(text, unknown) {
    const events = [];
    for (const entry of text.split("!").filter(Boolean)) {
      const [clock, what, value] = entry.split("~");
      const move = what === "D" || what === "G";
      const parsed = move ? Number(value) : GP.LIVE.includes(what) ? GP.parse(what, value || "") : undefined;
      const sound = /^\d+$/.test(clock) && parsed !== undefined && (!move || (parsed > 0 && parsed <= 1e4));
      if (sound) events.push([Number(clock), what, parsed]);
      else unknown.push(entry);
    }
    return events;
  }

  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  // ---- the page -----------------------------------------------------------------------------------------

  const number = (value) => {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size > 0 && size < 0.0005) return value.toExponential(0).replace("e-", "·10⁻").replace(/⁻(\d+)/, (_, d) => "⁻" + [...d].map((x) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[x]).join(""));
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 0.1 || size === 0 ? value.toFixed(2) : value.toFixed(3);
  };
  const plain = (value) => (value > 0 && value < 0.001 ? number(value) : String(value));

  function fieldHTML(id, key, [label, kind]) {
    const name = `${id}-${key}`;
    if (kind === "check") {
      return `<label class="gp-check" data-key="${key}"><input type="checkbox" id="${name}"> ${label}</label>`;
    }
    let control;
    if (kind === "seed") {
      control = `<span class="gp-seed"><input type="number" id="${name}" min="0" max="999999" step="1" inputmode="numeric">` +
        `<button type="button" data-do="reseed">next</button></span>`;
    } else if (Array.isArray(kind)) {
      control = `<input type="range" id="${name}" min="0" step="1">`;
    } else {
      const options = Object.entries(kind).map(([value, text]) => `<option value="${value}">${text}</option>`);
      control = `<select id="${name}">${options.join("")}</select>`;
    }
    const shown = Array.isArray(kind) ? `<output for="${name}"></output>` : "";
    return `<div class="gp-field" data-key="${key}"><label for="${name}">${label}</label>${shown}${control}</div>`;
  }

  function chartHTML(key, title, legend) {
    const entries = legend.map(([name, colour, text, dash]) =>
      `<span class="gp-key" data-colour="${colour}"><svg viewBox="0 0 18 6" aria-hidden="true"><path d="M0 3h18"${dash ? ` stroke-dasharray="${dash}"` : ""}/></svg>` +
      `${text} <b data-value="${name}">–</b></span>`);
    return `<div class="gp-chart"><div class="gp-chart-head"><span class="gp-chart-title">${title}</span>${entries.join("")}</div>` +
      `<canvas data-chart="${key}" role="img" aria-label="${title}"></canvas></div>`;
  }

  function pageHTML(id) {
    const stories = Object.entries(GP.STORIES)
      .map(([key, { title }]) => `<button type="button" data-story="${key}" aria-pressed="false">${title}</button>`);
    const speeds = Object.entries(SPEEDS)
      .map(([key, text]) => `<button type="button" data-speed="${key}" aria-pressed="false">${text}</button>`);
    const layers = [["heat", "what D says"], ["sheet", "sheet of G"], ["arrows", "gradients"], ["data", "data"]]
      .map(([key, text]) => `<button type="button" data-layer="${key}" aria-pressed="true">${text}</button>`);
    const groups = GROUPS.map(([title, fields]) =>
      `<fieldset><legend>${title}</legend>${Object.entries(fields).map(([key, field]) => fieldHTML(id, key, field)).join("")}</fieldset>`);
    return `<div class="gp-app">
<div class="gp-stories" role="group" aria-label="Stories">${stories.join("")}</div>
<p class="gp-story"></p>
<div class="gp-stage">
 <div class="gp-left">
  <div class="gp-plane"><canvas tabindex="0" role="img" aria-label="The plane"></canvas>
   <span class="gp-chip" hidden></span><span class="gp-probe" hidden></span><p class="gp-hint" hidden>Draw here with a finger or the mouse; or move with the arrow keys and press Enter.</p></div>
  <div class="gp-legend" aria-hidden="true">
   <span class="gp-scale">generated<i></i>real</span><span class="gp-dot gp-dot-data">data</span><span class="gp-dot gp-dot-sample">samples</span><span class="gp-dot gp-dot-arrow">gradients</span>
  </div>
  <div class="gp-drawing" hidden role="group" aria-label="Drawing"><button type="button" data-do="undo">Undo</button><button type="button" data-do="clear">Clear</button><button type="button" data-do="heart">Draw a heart</button></div>
  <div class="gp-transport" role="group" aria-label="Play">
   <button type="button" class="gp-play" data-do="play"></button>
   <button type="button" data-do="both" title="One round: both players move (B)">${icon("both")}<span>Both</span></button>
   <button type="button" class="gp-d" data-do="D" title="One step of the discriminator alone (D)">D only</button>
   <button type="button" class="gp-g" data-do="G" title="One step of the generator alone (G)">G only</button>
   <button type="button" data-do="restart" title="From the start, with the same seed (R)">${icon("restart")}<span>Restart</span></button>
  </div>
  <div class="gp-row"><div class="gp-segment" role="group" aria-label="Speed">${speeds.join("")}</div></div>
 </div>
 <div class="gp-right">
  <div class="gp-readout"><div><span>round</span> <b data-value="round">0</b></div><div><span><span data-value="word">modes</span> covered</span> <b data-value="modes">–</b></div><div><span>near the data</span> <b data-value="good">–</b></div></div>
  ${chartHTML("costs", "Costs", [["costD", "discriminator", "D"], ["costG", "generator", "G", "5 3"]])}
  ${chartHTML("modes", "Covered", [])}
  ${chartHTML("distances", "Distances", [["kl", "kl", "KL", "2 2"], ["js", "js", "JS"], ["wasserstein", "wasserstein", "W<sub>1</sub>", "7 3"]])}
  <div class="gp-segment gp-layers" role="group" aria-label="Show">${layers.join("")}</div>
 </div>
</div>
<details class="gp-settings"><summary>Settings</summary><div class="gp-groups">${groups.join("")}</div></details>
<div class="gp-foot"><button type="button" data-do="link">Copy a link to this run</button>
 <span class="gp-keys">Keys: <kbd>Space</kbd> play, <kbd>B</kbd> both, <kbd>D</kbd>, <kbd>G</kbd>, <kbd>S</kbd> slow, <kbd>R</kbd> restart, <kbd>N</kbd> next seed</span><span class="gp-fps"></span></div>
<p class="gp-status" role="status"></p>
</div>`;
  }

  const HEART = Array.from({ length: 64 }, (_, k) => {
    const t = (k / 64) * 2 * Math.PI;
    return [0.145 * 16 * Math.sin(t) ** 3, 0.145 * (13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t)) + 0.3];
  });

  let count = 0;

  class App {
    constructor(figure) {
      this.figure = figure;
      this.id = `gan-playground-${(count += 1)}`;
      figure.insertAdjacentHTML("beforeend", pageHTML(this.id));
      figure.querySelectorAll(".gp-poster, .gp-open, .gp-why").forEach((element) => (element.hidden = true));
      figure.classList.add("gp-running");
      this.canvas = this.find(".gp-plane canvas");
      this.plane = new GP.Plane(this.canvas);
      this.speed = "steady";
      this.playing = false;
      this.visible = true;
      this.strokes = [];
      this.drawMs = 5; // running means, in milliseconds: of drawing,
      this.lookMs = 5; // of what is computed for the picture,
      this.gap = 17; // and between two frames
      this.lastFrame = 0;
      this.lastText = 0;
      if (root.matchMedia("(min-width: 700px)").matches) this.find(".gp-settings").open = true;
      this.listen();
      this.setSpeed("steady");
      const shared = location.hash.startsWith(MARK);
      this.open(shared ? location.hash : figure.dataset.start || "", shared);
      const calm = root.matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (!calm || shared) this.play(true);
      this.find(".gp-play").focus({ preventScroll: true });
      this.tick = this.tick.bind(this);
      requestAnimationFrame(this.tick);
    }

    find(selector) {
      return this.figure.querySelector(selector);
    }

    say(text) {
      this.find(".gp-status").textContent = text;
    }

    // ---- a run

    open(address, shared) {
      const state = fromAddress(MARK + (address.includes("?") ? address.slice(address.indexOf("?") + 1) : address));
      this.story = state.story;
      this.initial = state.settings;
      this.strokes = [GP.pointsFromText(state.settings.points)].filter((stroke) => stroke.length);
      this.begin(state.script, state.until);
      if (state.unknown.length) this.say(`This link asks for what is not there: ${state.unknown.join(", ")}. The rest of it is shown.`);
      else if (shared) this.say("The run of the link.");
    }

    // A new game from the settings at hand.
    begin(script = [], until = 0) {
      this.game = new GP.Game(this.initial);
      this.game.script = script.slice();
      this.until = until;
      this.game.measure();
      this.plane.attach(this.game);
      this.plane.cursor = null;
      this.shownWasserstein = NaN;
      this.moved = 0;
      this.chip("");
      this.show();
      this.dirty = true;
    }

    restart() {
      this.begin();
      this.writeAddress();
      this.say("From the start.");
    }

    tellStory(story) {
      this.story = story;
      this.initial = { ...GP.defaults(), ...GP.STORIES[story].settings, seed: this.initial.seed };
      this.begin();
      this.play(true);
      this.writeAddress();
      this.say(`${GP.STORIES[story].title}: ${GP.STORIES[story].text}`);
    }

    set(key, value) {
      if (GP.parse(key, String(value)) === undefined) {
        this.show();
        this.say(`${value} is no value for this setting.`);
        return;
      }
      if (key === "data" && value === "draw" && !this.initial.points) this.play(false);
      if (GP.LIVE.includes(key) && this.game.clock > 0) {
        this.game.script = []; // from here on the run is the reader's
        this.until = 0;
        this.game.change(key, value);
        this.say(`Changed at round ${this.game.round}.`);
        this.show();
      } else {
        this.initial = { ...this.initial, [key]: value };
        const begun = this.game.clock > 0;
        this.begin();
        if (begun) this.say("A new run with this setting.");
      }
      this.dirty = true;
      this.writeAddress();
    }

    get state() {
      const { events, script, clock } = this.game;
      const ahead = this.until > clock ? script : [];
      return {
        story: this.story,
        settings: this.initial,
        script: [...events, ...ahead],
        until: Math.max(clock, ahead.length ? this.until : 0),
      };
    }

    writeAddress() {
      const address = toAddress(this.state);
      this.written = performance.now();
      try {
        history.replaceState(history.state, "", address);
      } catch {
        // a page that may not write its address keeps its link button
      }
      return location.href.split("#")[0] + address;
    }

    // ---- playing

    play(on) {
      if (on && this.waiting) {
        this.say("Draw the data first.");
        return;
      }
      this.playing = on;
      const button = this.find(".gp-play");
      button.innerHTML = `${icon(on ? "pause" : "play")}<span>${on ? "Pause" : "Play"}</span>`;
      button.title = on ? "Pause (Space)" : "Play (Space)";
      if (!on && this.game) {
        this.plane.travel(1);
        this.chip("");
        this.dirty = true;
        this.writeAddress();
        this.say(this.summary());
      }
    }

    // Nothing is drawn yet that could be learnt.
    get waiting() {
      return this.initial.data === "draw" && !this.initial.points;
    }

    step(what) {
      if (this.waiting) return;
      this.play(false);
      const { game } = this;
      game.script = [];
      this.until = 0;
      this.plane.travel(1);
      if (what === "both") game.play();
      else game.press(what, 1);
      game.measure();
      this.moved = performance.now();
      this.plane.depart();
      this.plane.refresh(true);
      this.chip(what === "both" ? "both moved" : `${what} moved`, what);
      this.dirty = true;
      this.writeAddress();
      this.say(this.summary());
    }

    setSpeed(speed) {
      this.speed = speed;
      this.plane.travel(1);
      this.moved = 0;
      this.chip("");
      for (const button of this.figure.querySelectorAll("[data-speed]")) {
        button.setAttribute("aria-pressed", String(button.dataset.speed === speed));
      }
    }

    chip(text, player) {
      const chip = this.find(".gp-chip");
      chip.hidden = !text;
      chip.textContent = text;
      chip.dataset.player = player || "";
    }

    tick(now) {
      if (!this.figure.isConnected) return;
      requestAnimationFrame(this.tick);
      const gap = now - this.lastFrame;
      this.lastFrame = now;
      if (!this.visible) return;
      if (gap < 1000) this.gap += 0.05 * (gap - this.gap);
      if (this.gap > 33) this.plane.thrifty = true;
      else if (this.gap < 20) this.plane.thrifty = false;
      const travelling = this.plane.from !== null;
      if (this.playing) this.move(now);
      if (travelling || this.plane.from) {
        this.plane.travel(Math.min(1, (now - this.moved) / (0.6 * SLOW_MOVE)));
        this.dirty = true;
      }
      if (this.playing || this.dirty) this.paint(now);
    }

    // The moves of one frame.
    move(now) {
      const { game } = this;
      const start = performance.now();
      if (this.speed === "slow") {
        if (now - this.moved < SLOW_MOVE) return;
        this.moved = now;
        this.plane.travel(1);
        this.plane.depart();
        const player = game.advance();
        if (!game.queue.length) game.measure();
        this.plane.refresh(true);
        this.chip(player === "D" ? "the discriminator moves" : "the generator moves", player);
      } else {
        // what is left of a frame at 35 a second; never less than one move
        const budget = Math.max(3, 28 - this.drawMs - this.lookMs);
        do {
          game.advance();
          if (!game.queue.length && this.speed === "steady") break;
          if (!game.queue.length && this.atEnd) break;
        } while (performance.now() - start < budget);
        const played = performance.now();
        game.settle(2);
        this.plane.refresh(false);
        this.lookMs += 0.1 * (performance.now() - played - this.lookMs);
        this.chip(game.headDone < game.settings.head ? `head start of D: ${game.headDone} of ${game.settings.head}` : "", "D");
      }
      if (!game.finite) {
        this.play(false);
        this.say(`At round ${game.round} the costs are no longer numbers: the steps were too large. Restart with smaller learning rates.`);
      } else if (this.atEnd) {
        this.until = 0;
        this.play(false);
        this.say(`The run of the link ends here, at round ${game.round}. ${this.summary()} Press Play to go on.`);
      } else if (now - this.written > 3000) this.writeAddress();
    }

    get atEnd() {
      return this.until > 0 && this.game.clock >= this.until && !this.game.queue.length;
    }

    // ---- drawing

    get theme() {
      const asked = document.documentElement.dataset.theme;
      if (asked === "dark" || asked === "light") return asked;
      return root.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    }

    paint(now) {
      const start = performance.now();
      if (!this.playing && this.dirty && !this.plane.from) {
        while (this.game.transport && this.game.round === this.game.transport.round && !this.game.settle(Infinity));
        this.plane.refresh(true);
      }
      this.dirty = false;
      this.plane.draw(this.theme, this.canvas.clientWidth);
      if (now - this.lastText > 110 || !this.playing) {
        this.lastText = now;
        this.curves();
        this.read();
      }
      this.drawMs += 0.1 * (performance.now() - start - this.drawMs);
    }

    curves() {
      const { game, theme } = this;
      const { history, costs } = game;
      const last = Math.max(100, game.round);
      const canvas = (key) => this.find(`[data-chart=${key}]`);
      const crossEntropy = ["minimax", "non_saturating"].includes(game.settings.loss);
      const { low, high, ticks } = range([...costs.D, ...costs.G], crossEntropy);
      GP.drawCurves(canvas("costs"), theme, [
        { values: costs.D, colour: "discriminator" },
        { values: costs.G, colour: "generator", dash: [5, 3] },
      ], last, { low, high, ticks, level: crossEntropy ? Math.log(4) : undefined });
      const rounds = history.map((r) => r.round);
      const { of } = history[history.length - 1];
      GP.drawCurves(canvas("modes"), theme, [
        { values: history.map((r) => r.modes), rounds, colour: "generator" },
      ], last, { low: 0, high: of, ticks: [[0, "0"], [of / 2, String(of / 2)], [of, String(of)]].filter(([v]) => Number.isInteger(v)) });
      const known = history.filter((r) => Number.isFinite(r.wasserstein));
      GP.drawCurves(canvas("distances"), theme, [
        { values: history.map((r) => r.kl), rounds, colour: "kl", dash: [2, 2] },
        { values: history.map((r) => r.js), rounds, colour: "js" },
        { values: known.map((r) => r.wasserstein), rounds: known.map((r) => r.round), colour: "wasserstein", dash: [7, 3] },
      ], last, { low: 0.01, high: 10, log: true, ticks: [[0.01, "0.01"], [0.1, "0.1"], [1, "1"], [10, "10"]] });
    }

    read() {
      const { game } = this;
      const last = game.history[game.history.length - 1];
      const known = game.history.filter((r) => Number.isFinite(r.wasserstein)).pop();
      const values = {
        round: game.round.toLocaleString("en"),
        word: game.target.word,
        modes: `${last.modes} of ${last.of}`,
        good: `${Math.round(100 * last.good)}%`,
        costD: number(game.cost.D),
        costG: number(game.cost.G),
        kl: number(last.kl),
        js: number(last.js),
        wasserstein: known ? number(known.wasserstein) : "–",
      };
      for (const [name, value] of Object.entries(values)) {
        const element = this.find(`[data-value=${name}]`);
        if (element.textContent !== value) element.textContent = value;
      }
      this.find(".gp-fps").textContent = this.playing ? `${Math.round(1000 / this.gap)} frames a second` : "";
      const label = `The plane: the discriminator's opinion as a heat map, samples of the generator, and the data. ${this.summary()}`;
      if (!this.playing || label.length !== this.labelled) {
        this.labelled = label.length;
        this.canvas.setAttribute("aria-label", label);
      }
      this.figure.querySelectorAll("[data-chart]").forEach((canvas) => {
        const said = { costs: `Costs: D ${values.costD}, G ${values.costG}`, modes: `Covered: ${values.modes}`, distances: `Distances: KL ${values.kl}, JS ${values.js}, Wasserstein ${values.wasserstein}` };
        canvas.setAttribute("aria-label", said[canvas.dataset.chart]);
      });
    }

    summary() {
      const { game } = this;
      const last = game.history[game.history.length - 1];
      return `Round ${game.round}: ${last.modes} of ${last.of} ${game.target.word} covered, ${Math.round(100 * last.good)}% of the samples near the data.`;
    }

    // The controls as the settings are.
    show() {
      const settings = this.game ? this.game.settings : this.initial;
      for (const button of this.figure.querySelectorAll("[data-story]")) {
        button.setAttribute("aria-pressed", String(button.dataset.story === this.story));
      }
      this.find(".gp-story").innerHTML = GP.STORIES[this.story].text;
      for (const [, fields] of GROUPS) {
        for (const [key, [, kind]] of Object.entries(fields)) {
          const control = document.getElementById(`${this.id}-${key}`);
          const value = settings[key];
          if (kind === "check") control.checked = Boolean(value);
          else if (Array.isArray(kind)) {
            const values = this.valuesOf(key, kind, value);
            control.max = values.length - 1;
            control.value = values.indexOf(value);
            control.setAttribute("aria-valuetext", plain(value));
            this.find(`[data-key=${key}] output`).textContent = plain(value);
          } else control.value = value;
        }
      }
      this.find("[data-key=penalty]").hidden = settings.loss !== "wasserstein";
      const draws = settings.data === "draw";
      this.find(".gp-drawing").hidden = !draws;
      this.find(".gp-hint").hidden = !this.waiting;
      this.canvas.classList.toggle("gp-draws", draws);
    }

    valuesOf(key, values, value) {
      return values.includes(value) ? values : [...values, value].sort((a, b) => a - b);
    }

    // ---- listening

    listen() {
      const { figure, canvas } = this;
      const acts = {
        play: () => this.play(!this.playing),
        both: () => this.step("both"),
        D: () => this.step("D"),
        G: () => this.step("G"),
        restart: () => this.restart(),
        reseed: () => this.set("seed", (this.initial.seed + 1) % 1000000),
        link: () => this.copyLink(),
        undo: () => this.redraw(this.strokes.slice(0, -1)),
        clear: () => this.redraw([]),
        heart: () => {
          this.redraw([HEART.map(GP.rounded)]);
          this.play(true);
        },
      };
      figure.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        const { story, speed, layer } = button.dataset;
        if (story) this.tellStory(story);
        else if (speed) this.setSpeed(speed);
        else if (layer) {
          this.plane.show[layer] = !this.plane.show[layer];
          button.setAttribute("aria-pressed", String(this.plane.show[layer]));
          this.dirty = true;
        } else if (button.dataset.do) acts[button.dataset.do]();
      });
      figure.addEventListener("keydown", (event) => this.key(event, acts));
      for (const [, fields] of GROUPS) {
        for (const [key, [, kind]] of Object.entries(fields)) this.listenTo(key, kind);
      }
      canvas.addEventListener("pointerdown", (event) => this.pointer(event));
      canvas.addEventListener("pointermove", (event) => this.pointer(event));
      for (const name of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(name, (event) => this.pointerEnd(event));
      }
      canvas.addEventListener("pointerleave", () => (this.find(".gp-probe").hidden = true));
      root.addEventListener("hashchange", () => {
        if (!location.hash.startsWith(MARK)) return;
        this.open(location.hash, true);
        this.play(true);
      });
      new ResizeObserver(() => (this.dirty = true)).observe(canvas);
      new MutationObserver(() => (this.dirty = true)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
      root.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.dirty = true));
      new IntersectionObserver((entries) => {
        this.visible = entries[entries.length - 1].isIntersecting;
        this.dirty = true;
      }).observe(figure);
    }

    listenTo(key, kind) {
      const control = document.getElementById(`${this.id}-${key}`);
      const range = Array.isArray(kind);
      if (range) {
        control.addEventListener("input", () => {
          const value = this.valuesOf(key, kind, this.game.settings[key])[control.value];
          control.setAttribute("aria-valuetext", plain(value));
          this.find(`[data-key=${key}] output`).textContent = plain(value);
        });
      }
      control.addEventListener("change", () => {
        if (kind === "check") this.set(key, control.checked ? 1 : 0);
        else if (range) this.set(key, this.valuesOf(key, kind, this.game.settings[key])[control.value]);
        else if (kind === "seed") this.set(key, control.value === "" ? NaN : Number(control.value));
        else this.set(key, control.value);
      });
    }

    key(event, acts) {
      const { target, key } = event;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target === this.canvas && this.initial.data === "draw" && this.keyDraw(key)) {
        event.preventDefault();
        event.stopPropagation();
        return;
      }
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && target.type !== "range" && target.type !== "checkbox") return;
      const onCanvas = target === this.canvas || target === this.figure;
      const act = {
        b: acts.both, d: acts.D, g: acts.G, r: acts.restart, n: acts.reseed,
        s: () => this.setSpeed(this.speed === "slow" ? "steady" : "slow"),
        ...(onCanvas ? { " ": acts.play } : {}),
      }[key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    }

    // ---- drawing data

    place(event) {
      const box = this.canvas.getBoundingClientRect();
      const across = (event.clientX - box.left) / box.width;
      const up = 1 - (event.clientY - box.top) / box.height;
      return [across, up].map((share) => (2 * Math.min(1, Math.max(0, share)) - 1) * GP.SPAN);
    }

    pointer(event) {
      const place = this.place(event);
      if (this.initial.data !== "draw") {
        this.probe(place, event.type === "pointerdown");
        return;
      }
      if (event.type === "pointerdown" && event.button === 0) {
        this.canvas.setPointerCapture(event.pointerId);
        this.stroke = event.pointerId;
        this.resume = this.playing || this.waiting;
        this.play(false);
        this.strokes.push([]);
      }
      if (this.stroke !== event.pointerId) return;
      event.preventDefault();
      const stroke = this.strokes[this.strokes.length - 1];
      const last = stroke[stroke.length - 1];
      if (last && Math.hypot(place[0] - last[0], place[1] - last[1]) < 0.12) return;
      if (this.strokes.flat().length >= 300) {
        this.say("300 points are as many as a link can carry.");
        return;
      }
      stroke.push(GP.rounded(place));
      this.redraw(this.strokes);
    }

    pointerEnd(event) {
      if (this.stroke !== event.pointerId) return;
      this.stroke = null;
      if (this.resume && !this.waiting) this.play(true);
    }

    redraw(strokes) {
      this.strokes = strokes;
      this.initial = { ...this.initial, points: GP.pointsToText(strokes.flat()) };
      const { cursor } = this.plane;
      if (!strokes.length) this.play(false);
      this.begin();
      this.plane.cursor = cursor;
      this.writeAddress();
    }

    // Arrow keys move a cross, Enter puts points there, Backspace takes the last back.
    keyDraw(key) {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (key in ways) {
        const cursor = this.plane.cursor || [0, 0];
        this.plane.cursor = cursor.map((v, k) => Math.max(-3.1, Math.min(3.1, v + 0.2 * ways[key][k])));
        this.say(`Cross at ${this.plane.cursor.map((v) => v.toFixed(1)).join(", ")}.`);
      } else if (key === "Enter") {
        this.redraw([...this.strokes, [GP.rounded(this.plane.cursor || [0, 0])]]);
      } else if (key === "Backspace") this.redraw(this.strokes.slice(0, -1));
      else return false;
      this.dirty = true;
      return true;
    }

    // What D says where the pointer is.
    probe(place, keep) {
      const { game } = this;
      this.probePass = this.probePass && this.probePass.network === game.discriminator ? this.probePass : game.discriminator.pass(1);
      const score = this.probePass.forward(Float64Array.from(place), 1, false)[0];
      const { output, boundary } = game.game;
      const probe = this.find(".gp-probe");
      probe.textContent = boundary === 0.5 && output === GP.sigmoid ? `D = ${output(score).toFixed(2)}` : `score ${score.toFixed(2)}`;
      probe.hidden = false;
      clearTimeout(this.probing);
      if (keep) this.probing = setTimeout(() => (probe.hidden = true), 2500);
    }

    // ---- the link

    copyLink() {
      const link = this.writeAddress();
      const shown = () => this.say(`The link is in the address bar: ${link.length} characters.`);
      const copied = () => this.say("Link copied. It holds the settings, the seed and what was changed on the way, up to this round.");
      if (navigator.clipboard && root.isSecureContext) navigator.clipboard.writeText(link).then(copied, shown);
      else shown();
    }
  }

  // A range that holds nearly all values, and two or three round ticks.
  function range(values, crossEntropy) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
    let [low, high] = sorted.length ? [at(0.01), at(0.99)] : [0, 1];
    if (crossEntropy) [low, high] = [Math.min(low, 0), Math.max(high, 1.6)];
    const pad = 0.06 * (high - low) || 0.5;
    if (low !== 0) low -= pad;
    high += pad;
    const rough = (high - low) / 3;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const size = [1, 2, 5, 10].find((f) => f * unit >= rough) * unit;
    const ticks = [];
    for (let v = Math.ceil(low / size) * size; v <= high; v += size) {
      if (!crossEntropy || Math.abs(v - Math.log(4)) > 0.15 * (high - low)) ticks.push([v, String(Number(v.toPrecision(3)))]);
    }
    if (crossEntropy) ticks.push([Math.log(4), "log 4"]);
    return { low, high, ticks };
  }

  Object.assign(GP, { toAddress, fromAddress, apps: [] });
  GP.start = (figure) => GP.apps.push(new App(figure));
})(typeof globalThis === "undefined" ? this : globalThis);
