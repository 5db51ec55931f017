// What one sees: the plane with the discriminator as a heat map, the generator's sheet, samples and arrows; and
// the curves. Draws a game on canvases, changes nothing in it.
(function (root) {
  "use strict";
  const GP = (root.GanPlayground = root.GanPlayground || {});
  const { SPAN } = GP;

  const SHOWN = 300; // samples drawn
  const ARROWS = 72;
  const SHEET = 21; // lines of the sheet along each axis

  // Blue is the discriminator's "real", orange its "generated", the ground its doubt: a pair that the colour-blind
  // can tell apart. The generator is green, as in the figures of the book.
  const PALETTES = {
    light: {
      ground: [255, 255, 255], real: [112, 169, 214], fake: [244, 166, 98], ink: "#1f2429", muted: "#68717c",
      data: "rgba(31,36,41,.34)", sample: "#00795c", halo: "rgba(255,255,255,.9)", sheet: "0,110,84",
      arrow: "#8c2d00", missing: "rgba(31,36,41,.45)", covered: "#00795c", line: "#dfe3e8",
      discriminator: "#0072B2", generator: "#00845f", kl: "#b0508f", js: "#c04f00", wasserstein: "#3d4650",
    },
    dark: {
      ground: [24, 28, 32], real: [31, 99, 150], fake: [150, 82, 24], ink: "#e6eaee", muted: "#a5aeb8",
      data: "rgba(226,232,238,.36)", sample: "#4fe0b5", halo: "rgba(10,14,16,.75)", sheet: "90,226,185",
      arrow: "#ffd9b0", missing: "rgba(226,232,238,.5)", covered: "#4fe0b5", line: "#343b43",
      discriminator: "#62b5ec", generator: "#43cfa3", kl: "#e59ac8", js: "#ff9a5c", wasserstein: "#c3ccd6",
    },
  };

  // Canvas with the pixels of the screen; returns its context, scaled so that one unit is a CSS pixel.
  function prepare(canvas, width, height) {
    const ratio = Math.min(2, root.devicePixelRatio || 1);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  // ---- the plane ----------------------------------------------------------------------------------------

  class Plane {
    constructor(canvas) {
      this.canvas = canvas;
      this.heat = document.createElement("canvas");
      this.frame = 0;
      this.show = { heat: true, sheet: true, arrows: true, data: true };
      this.side = 0;
      this.thrifty = false; // on a slow machine: a coarser heat map, computed less often
    }

    // Everything that depends on the game's sizes.
    attach(game) {
      this.game = game;
      const { noise } = game.settings;
      this.resolution(44);
      this.pointPass = game.generator.pass(SHOWN);
      this.arrowPass = game.discriminator.pass(SHOWN);
      this.points = null; // where the samples are drawn, which in slow motion lags behind where they are
      this.from = null;
      this.heatFrom = null;
      const random = new GP.Random(game.settings.seed, "shown data");
      this.data = GP.sample(game.target, random, 260, new Float64Array(520));
      // the sheet: the first two coordinates of the noise at equally likely steps, the others at their middle
      const steps = Array.from({ length: SHEET }, (_, k) => quantile((k + 0.5) / SHEET));
      if (noise === 1) {
        this.lines = [Float64Array.from({ length: 241 }, (_, k) => quantile((k + 0.5) / 241))];
      } else {
        const grid = new Float64Array(SHEET * SHEET * noise);
        for (let j = 0; j < SHEET; j++) {
          for (let i = 0; i < SHEET; i++) {
            grid[(j * SHEET + i) * noise] = steps[i];
            grid[(j * SHEET + i) * noise + 1] = steps[j];
          }
        }
        this.lines = [grid];
      }
      this.sheetPass = game.generator.pass(this.lines[0].length / noise);
      this.refresh(true);
    }

    resolution(cells) {
      if (this.cells === cells && this.heatPass && this.heatPass.network === this.game.discriminator) return;
      this.cells = cells;
      this.heat.width = this.heat.height = cells;
      this.places = new Float64Array(2 * cells * cells);
      for (let j = 0; j < cells; j++) {
        for (let i = 0; i < cells; i++) {
          this.places[2 * (j * cells + i)] = ((i + 0.5) / cells) * 2 * SPAN - SPAN;
          this.places[2 * (j * cells + i) + 1] = SPAN - ((j + 0.5) / cells) * 2 * SPAN;
        }
      }
      this.heatPass = this.game.discriminator.pass(cells * cells);
      this.values = new Float64Array(cells * cells);
      this.heatFrom = null;
      this.stale = true;
    }

    // Looks at both players anew. still: nothing moves, so that there is time for a finer heat map.
    refresh(still) {
      const { game } = this;
      this.frame += 1;
      this.resolution(still ? 88 : this.thrifty ? 32 : 44);
      if (still || this.stale || this.frame % (this.thrifty ? 4 : 2) === 0) this.opinion();
      this.now = this.pointPass.forward(game.evaluationNoise, SHOWN, false);
      if (!this.points) this.points = Float64Array.from(this.now);
      else if (!this.from) this.points.set(this.now);
      const n = Math.min(ARROWS, SHOWN);
      this.pull = Float64Array.from(game.pull(this.arrowPass, this.now.subarray(0, 2 * n), n));
      this.sheet = this.sheetPass.forward(this.lines[0], this.sheetPass.capacity, false);
    }

    // The discriminator's output on the plane, between -1 (generated) and 1 (real).
    opinion() {
      const { game, values } = this;
      const count = values.length;
      this.stale = false;
      const scores = this.heatPass.forward(this.places, count, false);
      const { loss } = game.settings;
      if (loss === "wasserstein") {
        // only differences mean something: the middle is halfway between real and fake as the critic has them
        let low = Infinity;
        let high = -Infinity;
        for (let k = 0; k < count; k++) {
          low = Math.min(low, scores[k]);
          high = Math.max(high, scores[k]);
        }
        const middle = (low + high) / 2;
        const half = Math.max(0.05, (high - low) / 2);
        for (let k = 0; k < count; k++) values[k] = (scores[k] - middle) / half;
      } else {
        const { output, boundary } = game.game;
        const half = loss === "hinge" ? 1 : 0.5;
        for (let k = 0; k < count; k++) {
          values[k] = Math.max(-1, Math.min(1, (output(scores[k]) - boundary) / half));
        }
      }
    }

    // In slow motion a move is shown as a way: remember where things are now.
    depart() {
      this.from = Float64Array.from(this.points);
      this.heatFrom = Float64Array.from(this.values);
    }

    // share: of the way from where `depart` was called, from 0 to 1.
    travel(share) {
      if (!this.from) return;
      const eased = share * share * (3 - 2 * share);
      for (let k = 0; k < this.points.length; k++) {
        this.points[k] = this.from[k] + eased * (this.now[k] - this.from[k]);
      }
      this.heatShare = eased;
      if (share >= 1) this.from = this.heatFrom = null;
    }

    x(value) {
      return ((value + SPAN) / (2 * SPAN)) * this.side;
    }

    y(value) {
      return ((SPAN - value) / (2 * SPAN)) * this.side;
    }

    draw(theme, side) {
      const palette = PALETTES[theme];
      this.side = side;
      const c = prepare(this.canvas, side, side);
      const whole = `rgb(${palette.ground})`;
      c.fillStyle = whole;
      c.fillRect(0, 0, side, side);
      if (this.show.heat) this.drawHeat(c, palette);
      this.drawModes(c, palette);
      const { data, points } = this.game.settings;
      if (this.show.data && !(data === "draw" && !points)) dots(c, this, this.data, this.data.length / 2, 1.7, palette.data);
      if (this.show.sheet) this.drawSheet(c, palette);
      const scale = Math.max(0.72, Math.min(1.15, side / 480));
      dots(c, this, this.points, SHOWN, 2.4 * scale, palette.sample, 0.9, palette.halo);
      if (this.show.arrows) this.drawArrows(c, palette, scale);
      if (this.cursor) this.drawCursor(c, palette);
    }

    drawHeat(c, { ground, real, fake }) {
      const { cells, values, heatFrom } = this;
      const context = this.heat.getContext("2d");
      const image = context.createImageData(cells, cells);
      const mix = heatFrom ? this.heatShare || 0 : 1;
      for (let k = 0; k < values.length; k++) {
        const value = mix < 1 ? heatFrom[k] + mix * (values[k] - heatFrom[k]) : values[k];
        const end = value > 0 ? real : fake;
        const share = Math.abs(value) ** 0.85;
        for (let i = 0; i < 3; i++) image.data[4 * k + i] = ground[i] + share * (end[i] - ground[i]);
        image.data[4 * k + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      c.imageSmoothingEnabled = true;
      c.imageSmoothingQuality = "high";
      c.drawImage(this.heat, 0, 0, this.side, this.side);
    }

    drawModes(c, palette) {
      const { target, history, settings } = this.game;
      if (settings.data === "draw" && !settings.points) return;
      const last = history[history.length - 1];
      const radius = (target.radius / (2 * SPAN)) * this.side;
      target.modes.forEach(([x, y], k) => {
        const covered = last && last.covered[k];
        c.beginPath();
        c.arc(this.x(x), this.y(y), radius, 0, 2 * Math.PI);
        c.strokeStyle = covered ? palette.covered : palette.missing;
        c.lineWidth = covered ? 1.8 : 1;
        c.setLineDash(covered ? [] : [3, 4]);
        c.stroke();
      });
      c.setLineDash([]);
    }

    // Each patch of the sheet carries the same share of the noise: the smaller it is drawn, the fuller its green.
    drawSheet(c, palette) {
      const { sheet } = this;
      const [px, py] = [(k) => this.x(sheet[2 * k]), (k) => this.y(sheet[2 * k + 1])];
      if (this.game.settings.noise === 1) {
        c.beginPath();
        for (let k = 0; k < sheet.length / 2; k++) c.lineTo(px(k), py(k));
        c.strokeStyle = `rgba(${palette.sheet},.75)`;
        c.lineWidth = 1.6;
        c.stroke();
        return;
      }
      const fair = (this.side * this.side) / (SHEET * SHEET);
      for (let j = 0; j + 1 < SHEET; j++) {
        for (let i = 0; i + 1 < SHEET; i++) {
          const [a, b] = [j * SHEET + i, j * SHEET + i + 1];
          const [d, e] = [a + SHEET, b + SHEET];
          const area = Math.abs((px(e) - px(a)) * (py(d) - py(b)) - (px(d) - px(b)) * (py(e) - py(a))) / 2;
          c.beginPath();
          c.moveTo(px(a), py(a));
          c.lineTo(px(b), py(b));
          c.lineTo(px(e), py(e));
          c.lineTo(px(d), py(d));
          c.closePath();
          const alpha = Math.min(0.45, 0.03 * (fair / Math.max(area, 1)) ** 0.7);
          c.fillStyle = `rgba(${palette.sheet},${alpha.toFixed(3)})`;
          c.fill();
        }
      }
      c.beginPath();
      for (let j = 0; j < SHEET; j += 2) {
        for (let i = 0; i < SHEET; i++) {
          const k = j * SHEET + i;
          if (i) c.lineTo(px(k), py(k));
          else c.moveTo(px(k), py(k));
        }
        for (let i = 0; i < SHEET; i++) {
          const k = i * SHEET + j;
          if (i) c.lineTo(px(k), py(k));
          else c.moveTo(px(k), py(k));
        }
      }
      c.strokeStyle = `rgba(${palette.sheet},.3)`;
      c.lineWidth = 0.8;
      c.stroke();
    }

    // Against the gradient of each sample's cost; the length tells the size, up to a limit.
    drawArrows(c, palette, scale) {
      const { points, pull } = this;
      c.beginPath();
      for (let n = 0; n < pull.length / 2; n++) {
        const [gx, gy] = [-pull[2 * n], -pull[2 * n + 1]];
        const size = Math.hypot(gx, gy);
        const length = (46 * scale * size) / (size + 0.8);
        if (!(length > 1.2)) continue;
        const [ux, uy] = [gx / size, -gy / size];
        const [x, y] = [this.x(points[2 * n]), this.y(points[2 * n + 1])];
        const [tx, ty] = [x + ux * length, y + uy * length];
        const head = Math.min(5.5 * scale, length * 0.45);
        c.moveTo(x, y);
        c.lineTo(tx, ty);
        c.moveTo(tx - head * (ux + 0.55 * uy), ty - head * (uy - 0.55 * ux));
        c.lineTo(tx, ty);
        c.lineTo(tx - head * (ux - 0.55 * uy), ty - head * (uy + 0.55 * ux));
      }
      c.strokeStyle = palette.arrow;
      c.lineWidth = 1.35;
      c.lineCap = c.lineJoin = "round";
      c.stroke();
    }

    drawCursor(c, palette) {
      const [x, y] = [this.x(this.cursor[0]), this.y(this.cursor[1])];
      c.beginPath();
      c.arc(x, y, 9, 0, 2 * Math.PI);
      c.moveTo(x - 14, y);
      c.lineTo(x + 14, y);
      c.moveTo(x, y - 14);
      c.lineTo(x, y + 14);
      c.strokeStyle = palette.ink;
      c.lineWidth = 1.5;
      c.stroke();
    }
  }

  // Many round dots: one is drawn, the others are copies of it, which is several times faster than arcs.
  const stamps = {};
  function dots(c, plane, points, count, radius, colour, halo = 0, haloColour = "") {
    const ratio = Math.min(2, root.devicePixelRatio || 1);
    const key = [radius, colour, halo, haloColour, ratio].join();
    const size = 2 * (radius + halo + 1);
    if (!stamps[key]) {
      const stamp = document.createElement("canvas");
      stamp.width = stamp.height = Math.ceil(size * ratio);
      const s = stamp.getContext("2d");
      s.scale(ratio, ratio);
      const discs = halo ? [[radius + halo, haloColour], [radius, colour]] : [[radius, colour]];
      for (const [r, fill] of discs) {
        s.beginPath();
        s.arc(size / 2, size / 2, r, 0, 2 * Math.PI);
        s.fillStyle = fill;
        s.fill();
      }
      stamps[key] = stamp;
    }
    for (let n = 0; n < count; n++) {
      const [x, y] = [plane.x(points[2 * n]), plane.y(points[2 * n + 1])];
      if (x > -9 && y > -9 && x < plane.side + 9 && y < plane.side + 9) {
        c.drawImage(stamps[key], x - size / 2, y - size / 2, size, size);
      }
    }
  }

  // The inverse of the normal distribution function, for drawing (Shore 1982: two decimals).
  function quantile(share) {
    return share >= 0.5
      ? 5.5556 * (1 - ((1 - share) / share) ** 0.1186)
      : -5.5556 * (1 - (share / (1 - share)) ** 0.1186);
  }

  // ---- curves -------------------------------------------------------------------------------------------

  // lines: [{values, rounds, colour, dash}], rounds only where it is not every one; options: low, high, log,
  // ticks: [[value, text], ...], level: the tick that is dotted.
  function drawCurves(canvas, theme, lines, last, options) {
    const palette = PALETTES[theme];
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    const c = prepare(canvas, width, height);
    c.clearRect(0, 0, width, height);
    const [left, right, top, bottom] = [34, 4, 6, 16];
    const scale = options.log ? Math.log : (v) => v;
    const [low, high] = [scale(options.low), scale(options.high)];
    const x = (round) => left + (round / Math.max(last, 1)) * (width - left - right);
    const y = (value) => {
      const share = (scale(Math.max(options.log ? options.low : -Infinity, value)) - low) / (high - low);
      return height - bottom - Math.max(-0.02, Math.min(1.02, share)) * (height - top - bottom);
    };
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.lineWidth = 1;
    for (const [value, text] of options.ticks) {
      c.strokeStyle = palette.line;
      c.setLineDash(value === options.level ? [2, 3] : []);
      if (value === options.level) c.strokeStyle = palette.muted;
      c.beginPath();
      c.moveTo(left, Math.round(y(value)) + 0.5);
      c.lineTo(width - right, Math.round(y(value)) + 0.5);
      c.stroke();
      c.fillStyle = palette.muted;
      c.textAlign = "right";
      c.fillText(text, left - 5, y(value));
    }
    c.setLineDash([]);
    c.textAlign = "right";
    c.fillStyle = palette.muted;
    c.fillText(String(last), width - right, height - 6);
    c.textAlign = "left";
    c.fillText("round 0", left, height - 6);
    for (const { values, rounds, colour, dash } of lines) {
      c.strokeStyle = palette[colour];
      c.setLineDash(dash || []);
      c.lineJoin = "round";
      if (!rounds && values.length > 2 * (width - left)) drawBand(c, values, x, y, width - left - right);
      else {
        c.lineWidth = 1.8;
        c.beginPath();
        let begun = false;
        for (let k = 0; k < values.length; k++) {
          if (!Number.isFinite(values[k])) continue;
          const at = rounds ? rounds[k] : k + 1;
          if (begun) c.lineTo(x(at), y(values[k]));
          else c.moveTo(x(at), y(values[k]));
          begun = true;
        }
        c.stroke();
      }
    }
    c.setLineDash([]);
  }

  // Many values: for each pixel the span they cover, pale, and their mean.
  function drawBand(c, values, x, y, columns) {
    const pixels = Math.floor(columns);
    const size = values.length / pixels;
    const means = [];
    c.globalAlpha = 0.25;
    c.lineWidth = 1;
    c.beginPath();
    for (let k = 0; k < pixels; k++) {
      const [start, end] = [Math.floor(k * size), Math.floor((k + 1) * size)];
      let [low, high, sum] = [Infinity, -Infinity, 0];
      for (let i = start; i < end; i++) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
        sum += values[i];
      }
      const at = x((start + end) / 2);
      c.moveTo(at, y(low));
      c.lineTo(at, y(high) - 0.5);
      means.push([at, y(sum / Math.max(1, end - start))]);
    }
    c.stroke();
    c.globalAlpha = 1;
    c.lineWidth = 1.6;
    c.beginPath();
    for (const [at, value] of means) c.lineTo(at, value);
    c.stroke();
  }

  Object.assign(GP, { Plane, drawCurves, PALETTES, SHOWN });
})(typeof globalThis === "undefined" ? this : globalThis);
