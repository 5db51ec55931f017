// One game: settings, both players, the moves, and what is measured on the way. Knows nothing of the page.
(function (root) {
  "use strict";
  const GP = (root.GanPlayground = root.GanPlayground || {});

  // ---- settings ---------------------------------------------------------------------------------------

  // key: [default, kind, ...]; a number has its bounds, a choice its values. The keys are those of the address.
  const SETTINGS = {
    data: ["ring", "choice", ["ring", "grid", "line", "spiral", "draw"]],
    points: ["", "text"],
    loss: ["non_saturating", "choice", Object.keys(GP.GAMES)],
    penalty: [1, "number", 0, 100], // weight of the gradient penalty; the Wasserstein game only
    spectral: [0, "whole", 0, 1], // spectral normalisation of the discriminator
    rateD: [0.002, "number", 1e-6, 1],
    rateG: [0.001, "number", 1e-6, 1],
    optD: ["adam", "choice", ["adam", "sgd"]],
    optG: ["adam", "choice", ["adam", "sgd"]],
    beta: [0.5, "number", 0, 0.99], // Adam's first decay rate, or the momentum of SGD
    stepsD: [1, "whole", 1, 20],
    stepsG: [1, "whole", 1, 20],
    head: [0, "whole", 0, 2000], // steps of the discriminator alone before the first round
    layersD: [2, "whole", 1, 4],
    layersG: [2, "whole", 1, 4],
    widthD: [32, "whole", 4, 128],
    widthG: [64, "whole", 4, 128],
    noise: [4, "whole", 1, 32],
    start: [1, "number", 0.05, 4], // how large the generator's first weights are, in units of the usual
    batch: [128, "whole", 8, 512],
    seed: [0, "whole", 0, 999999],
  };
  // These may change while a game goes on; every other change begins a new one.
  const LIVE = ["loss", "penalty", "rateD", "rateG", "stepsD", "stepsG"];

  const defaults = () => Object.fromEntries(Object.entries(SETTINGS).map(([key, [value]]) => [key, value]));

  // The value that a text stands for, or undefined where it is none for this key.
  function parse(key, text) {
    if (!(key in SETTINGS)) return undefined;
    const [, kind, low, high] = SETTINGS[key];
    if (kind === "text") return String(text);
    if (kind === "choice") return low.includes(text) ? text : undefined;
    const value = text === "" ? NaN : Number(text);
    if (!(value >= low && value <= high)) return undefined;
    return kind === "whole" ? Math.round(value) : value;
  }

  // ---- stories ----------------------------------------------------------------------------------------

  // What each must show for every seed is checked by tests/test_playground.py; `rounds` is where it shows.
  const SURE = { optG: "sgd", rateG: 0.01, stepsD: 5, head: 200, start: 0.66, batch: 64 };
  const STORIES = {
    healthy: {
      title: "Healthy",
      settings: {},
      rounds: 600,
      text: "Both players learn at the same pace. The samples spread, are pulled apart and settle in all eight circles; " +
        "where they are good the heat map turns pale: <em>D</em> cannot tell any more.",
    },
    collapse: {
      title: "Mode collapse",
      settings: { rateD: 0.00004, rateG: 0.002 },
      rounds: 800,
      text: "The discriminator learns fifty times more slowly than the generator. Its opinion is so faint that the heat " +
        "map stays white, and the generator runs to wherever it is best just now: one to three circles of eight. Both " +
        "costs stand still at log 2 and log 4, as if all were well.",
    },
    strong: {
      title: "Discriminator too strong",
      settings: { ...SURE, loss: "minimax" },
      rounds: 200,
      text: "<em>D</em> has a head start of 200 steps and moves five times a round; the loss is minimax. It is soon sure of " +
        "every sample, its cost goes to zero, the arrows vanish, and the generator stays where it is.",
    },
    oscillation: {
      title: "Oscillation",
      settings: { beta: 0.9, rateD: 0.01, rateG: 0.01, batch: 64 },
      rounds: 800,
      text: "Large steps and much momentum. The generator runs to a circle, <em>D</em> learns to reject it, and the chase " +
        "goes on: the samples visit one circle after another and stay in none. Both costs swing.",
    },
    wasserstein: {
      title: "Wasserstein saves it",
      settings: { ...SURE, loss: "wasserstein" },
      rounds: 500,
      text: "The very settings of the discriminator that was too strong; only the loss is another. The critic’s slope is " +
        "held near one, so that the arrows never vanish, and the samples find all eight circles.",
    },
  };

  // ---- the game ---------------------------------------------------------------------------------------

  const EVALUATED = 2048; // samples behind each measure
  const EVERY = 20; // rounds between measures
  const WASSERSTEIN_EVERY = 100;

  class Game {
    constructor(settings) {
      this.settings = { ...defaults(), ...settings };
      const s = this.settings;
      this.target = GP.DATA[s.data](s.data === "draw" ? GP.pointsFromText(s.points) : undefined);
      this.p = GP.density(this.target);
      const random = (stream) => new GP.Random(s.seed, stream);
      this.random = { data: random("data"), noise: random("noise"), mixing: random("mixing") };

      const hidden = (layers, width) => Array(layers).fill(width);
      this.generator = new GP.Network([s.noise, ...hidden(s.layersG, s.widthG), 2], "relu");
      this.discriminator = new GP.Network([2, ...hidden(s.layersD, s.widthD), 1], "maxout", 2);
      this.generator.initialise(random("G"), (layer) => s.start * 0.3 * Math.sqrt(64 / s.widthG));
      this.discriminator.initialise(random("D"), (layer) => 0.03 * Math.sqrt(32 / s.widthD));
      if (s.spectral) this.discriminator.normalise(random("spectral"));
      const optimizer = (name, network) => new (name === "adam" ? GP.Adam : GP.SGD)(network, s.beta);
      this.optimizers = {
        D: optimizer(s.optD, this.discriminator),
        G: optimizer(s.optG, this.generator),
      };

      const n = s.batch;
      this.real = new Float64Array(2 * n);
      this.z = new Float64Array(s.noise * n);
      this.alpha = new Float64Array(n);
      this.slopes = new Float64Array(n);
      this.passG = this.generator.pass(n);
      this.passD = this.discriminator.pass(n);

      this.evaluationNoise = random("evaluation").normals(new Float64Array(s.noise * EVALUATED));
      this.evaluationPass = this.generator.pass(EVALUATED);
      this.round = 0;
      this.headDone = 0;
      this.fresh = false; // whether the fakes at hand come from the generator as it is now, and are unused by G
      this.cost = { D: NaN, G: NaN };
      this.costs = { D: [], G: [] }; // of every round
      this.history = [];
      this.queue = []; // the moves that are left of the round at hand
      this.events = []; // what was done on the way: [clock, "D" | "G" | key, how often | value]
      this.script = []; // the same, still to be done: a link's, or a story's
      this.transport = null;
      this.wasserstein = NaN;
    }

    get game() {
      return GP.GAMES[this.settings.loss];
    }

    // ---- moves

    // Fakes from fresh noise, or from the noise given. One run of the generator serves both players.
    makeFakes(noise) {
      this.passG.forward(noise || this.random.noise.normals(this.z), this.settings.batch, true);
      this.fresh = true;
    }

    get fakes() {
      return this.passG.output;
    }

    // One step of the discriminator on the fakes at hand. given: {real, alpha}, to play a known batch.
    moveD(given = {}) {
      const { batch, loss, penalty, rateD } = this.settings;
      const { passD, slopes, game } = this;
      const real = given.real || GP.sample(this.target, this.random.data, batch, this.real);
      this.discriminator.zeroGradients();
      let cost = 0;
      for (const [part, x] of [[game.real, real], [game.fake, this.fakes]]) {
        const scores = passD.forward(x, batch, true);
        cost += GP.costOf(part, scores, batch, slopes);
        passD.backward(slopes, true, false);
      }
      if (loss === "wasserstein" && penalty > 0) {
        const { alpha } = this;
        if (!given.alpha) for (let n = 0; n < batch; n++) alpha[n] = this.random.mixing.uniform();
        cost += GP.gradientPenalty(passD, real, this.fakes, given.alpha || alpha, batch, penalty);
      }
      this.optimizers.D.step(rateD);
      this.cost.D = cost;
      return cost;
    }

    // One step of the generator, judged on the fakes at hand by the discriminator as it is now.
    moveG() {
      const { batch, rateG } = this.settings;
      const { passD, passG, slopes, game } = this;
      this.generator.zeroGradients();
      const scores = passD.forward(this.fakes, batch, false); // D stands still, its spectral vectors too
      this.cost.G = GP.costOf(game.generator, scores, batch, slopes);
      passG.backward(passD.backward(slopes, false, true), true, false);
      this.optimizers.G.step(rateG);
      this.fresh = false;
      return this.cost.G;
    }

    single(player) {
      if (player === "D") {
        this.makeFakes();
        this.moveD();
      } else {
        if (!this.fresh) this.makeFakes();
        this.moveG();
      }
    }

    // ---- time

    // Steps of the discriminator's head start, then rounds.
    get clock() {
      return this.headDone + this.round;
    }

    // The next move of the round: the discriminator moves stepsD times, then the generator stepsG times, its first
    // on the fakes that the discriminator saw last (algorithm 1 of Goodfellow et al. 2014, with one run of G for
    // both). Returns the player who moved.
    advance() {
      if (!this.queue.length) {
        this.follow();
        const { stepsD, stepsG, head } = this.settings;
        if (this.headDone < head) {
          this.single("D");
          this.headDone += 1;
          return "D";
        }
        this.queue = [...Array(stepsD).fill("D"), ...Array(stepsG).fill("G")];
      }
      const player = this.queue.shift();
      this.single(player);
      if (!this.queue.length) {
        this.round += 1;
        this.costs.D.push(this.cost.D);
        this.costs.G.push(this.cost.G);
        if (this.round % EVERY === 0) this.measure();
      }
      return player;
    }

    // A whole round, or one step of the head start, or what is left of a round that was begun.
    play() {
      do this.advance();
      while (this.queue.length);
    }

    // Does what the script has for this moment.
    follow() {
      while (this.script.length && this.script[0][0] <= this.clock) {
        const [, what, value] = this.script.shift();
        if (what === "D" || what === "G") this.press(what, value);
        else this.change(what, value);
      }
    }

    // A button: one player moves, alone. Between two rounds, so that a link can say when.
    press(player, times) {
      if (this.queue.length) this.play();
      for (let k = 0; k < times; k++) this.single(player);
      const last = this.events[this.events.length - 1];
      if (last && last[0] === this.clock && last[1] === player) last[2] += times;
      else this.events.push([this.clock, player, times]);
    }

    // A setting that may change while the game goes on.
    change(key, value) {
      if (!LIVE.includes(key)) throw new Error(`${key} cannot change in a running game`);
      if (this.queue.length) this.play();
      this.settings[key] = value;
      const last = this.events[this.events.length - 1];
      if (last && last[0] === this.clock && last[1] === key) last[2] = value;
      else this.events.push([this.clock, key, value]);
    }

    // ---- measures

    // Whether all numbers are still numbers.
    get finite() {
      return this.round === 0 || Number.isFinite(this.cost.D + this.cost.G);
    }

    evaluate() {
      return this.evaluationPass.forward(this.evaluationNoise, EVALUATED, false);
    }

    // The derivative of each fake's own cost with respect to the fake: against it the generator is sent.
    // points: [count, 2]; pass: of the discriminator. Returns [count, 2].
    pull(pass, points, count) {
      const scores = pass.forward(points, count, false);
      const [, derivative] = this.game.generator;
      const slopes = new Float64Array(count);
      for (let n = 0; n < count; n++) slopes[n] = derivative(scores[n]);
      return pass.backward(slopes, false, true);
    }

    measure() {
      const points = this.evaluate();
      const found = GP.coverage(this.target, points, EVALUATED);
      const last = this.history[this.history.length - 1];
      if (last && last.round === this.round) this.history.pop(); // a single move between two rounds
      const q = GP.histogram(points, EVALUATED);
      if (!this.transport && this.round % WASSERSTEIN_EVERY === 0) {
        const half = GP.CELLS / 2;
        this.transport = new GP.Transport(GP.coarser(this.p), GP.coarser(q), half, (2 * GP.SPAN) / half);
        this.transport.round = this.round;
      }
      this.history.push({
        round: this.round,
        costD: this.cost.D,
        costG: this.cost.G,
        kl: GP.kl(this.p, GP.withFloor(q)),
        js: GP.jensenShannon(this.p, q),
        wasserstein: NaN,
        ...found,
      });
    }

    // Goes on with the Wasserstein distance of an earlier round for about that many milliseconds.
    settle(milliseconds) {
      if (!this.transport || !this.transport.advance(milliseconds)) return;
      this.wasserstein = this.transport.value;
      const record = this.history.find((r) => r.round === this.transport.round);
      if (record) record.wasserstein = this.wasserstein;
      this.transport = null;
    }

    // Plays until that moment, with all measures; for tests.
    playTo(clock) {
      while (this.clock < clock) {
        this.play();
        this.settle(Infinity);
      }
      return this.history;
    }
  }

  Object.assign(GP, { SETTINGS, LIVE, STORIES, defaults, parse, Game, EVALUATED });
})(typeof globalThis === "undefined" ? this : globalThis);
