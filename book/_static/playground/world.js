// The data sets, all mixtures of round Gaussians in the square [-SPAN, SPAN]^2, and what can be measured there:
// modes covered, and KL, JS and the Wasserstein distance between data and samples on a grid.
(function (root) {
  "use strict";
  const GP = (root.GanPlayground = root.GanPlayground || {});

  const SPAN = 3.2;
  const CELLS = 32; // of the grid on which densities are compared, along each axis
  const FLOOR = 0.01; // the share of a uniform density mixed into the samples' histogram: KL stays finite
  const NEGLIGIBLE = 1e-5; // mass in a cell that is not worth moving

  // ---- data sets --------------------------------------------------------------------------------------

  // centres: [[x, y], ...], each with the same weight, standard deviation `deviation`. modes: the places whose
  // covering is counted; a sample within `radius` of the nearest one counts for it.
  function ring() {
    const centres = [];
    for (let k = 0; k < 8; k++) centres.push([2 * Math.cos((k * Math.PI) / 4), 2 * Math.sin((k * Math.PI) / 4)]);
    return { centres, deviation: 0.15, modes: centres, radius: 0.45, word: "modes" };
  }

  function grid() {
    const centres = [];
    for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) centres.push([1.9 * i, 1.9 * j]);
    return { centres, deviation: 0.15, modes: centres, radius: 0.45, word: "modes" };
  }

  // Along a curve [0, 1] -> plane: many centres, and `parts` of equal length to be covered.
  function along(curve, deviation, parts) {
    const fine = Array.from({ length: 2001 }, (_, k) => curve(k / 2000));
    const lengths = [0];
    for (let k = 1; k < fine.length; k++) {
      lengths.push(lengths[k - 1] + Math.hypot(fine[k][0] - fine[k - 1][0], fine[k][1] - fine[k - 1][1]));
    }
    const total = lengths[2000];
    const spaced = (n) => {
      let k = 0;
      return Array.from({ length: n }, (_, i) => {
        while (lengths[k] < (total * (i + 0.5)) / n) k++;
        return fine[k];
      });
    };
    const radius = Math.hypot(total / parts / 2, 3 * deviation);
    return { centres: spaced(120), deviation, modes: spaced(parts), radius, word: "parts" };
  }

  const line = () => along((t) => [-2.3 + 4.6 * t, -1.2 + 2.4 * t], 0.08, 10);
  const spiral = () =>
    along((t) => {
      const angle = 0.6 + 3.4 * Math.PI * t;
      const reach = 0.35 + 2.25 * t;
      return [reach * Math.cos(angle), reach * Math.sin(angle)];
    }, 0.08, 14);

  // points: [[x, y], ...] drawn by hand. The places to cover are picked among them, far from one another.
  function drawn(points) {
    const centres = points.length ? points : [[0, 0]];
    const distance = centres.map(() => Infinity);
    const modes = [];
    let next = 0;
    while (modes.length < 12) {
      modes.push(centres[next]);
      let far = 0;
      centres.forEach(([x, y], k) => {
        distance[k] = Math.min(distance[k], Math.hypot(x - centres[next][0], y - centres[next][1]));
        if (distance[k] > distance[far]) far = k;
      });
      if (distance[far] < 0.5) break;
      next = far;
    }
    const radius = Math.max(0.45, ...distance);
    return { centres, deviation: 0.1, modes, radius, word: "places" };
  }

  const DATA = { ring, grid, line, spiral, draw: drawn };

  // [count, 2] samples of the data.
  function sample(target, random, count, into) {
    const { centres, deviation } = target;
    for (let n = 0; n < count; n++) {
      const centre = centres[random.below(centres.length)];
      into[2 * n] = centre[0] + deviation * random.normal();
      into[2 * n + 1] = centre[1] + deviation * random.normal();
    }
    return into;
  }

  // A drawing as text for the address: two letters a point, 64 steps along each axis.
  const LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  const step = (value) => Math.max(0, Math.min(63, Math.floor(((value + SPAN) / (2 * SPAN)) * 64)));
  const place = (index) => ((index + 0.5) / 64) * 2 * SPAN - SPAN;
  const pointsToText = (points) => points.map(([x, y]) => LETTERS[step(x)] + LETTERS[step(y)]).join("");
  function pointsFromText(text) {
    const points = [];
    for (let k = 0; k + 1 < text.length; k += 2) {
      const [i, j] = [LETTERS.indexOf(text[k]), LETTERS.indexOf(text[k + 1])];
      if (i >= 0 && j >= 0) points.push([place(i), place(j)]);
    }
    return points;
  }
  // Drawn points are rounded to what the address can hold, so that the run in the link is the run on the screen.
  const rounded = ([x, y]) => [place(step(x)), place(step(y))];

  // ---- measures ---------------------------------------------------------------------------------------

  // A mode is covered when it has at least 16% of its fair share of all samples (2% for eight modes).
  function coverage(target, points, count) {
    const { modes, radius } = target;
    const hits = new Array(modes.length).fill(0);
    let good = 0;
    for (let n = 0; n < count; n++) {
      let nearest = -1;
      let best = radius * radius;
      for (let k = 0; k < modes.length; k++) {
        const dx = points[2 * n] - modes[k][0];
        const dy = points[2 * n + 1] - modes[k][1];
        const d = dx * dx + dy * dy;
        if (d < best) {
          best = d;
          nearest = k;
        }
      }
      if (nearest >= 0) {
        hits[nearest] += 1;
        good += 1;
      }
    }
    const enough = (0.16 * count) / modes.length;
    const covered = hits.map((h) => h >= enough);
    return { covered, modes: covered.filter(Boolean).length, of: modes.length, good: good / count };
  }

  // Abramowitz & Stegun 1964, formula 7.1.26; its error is below 1.5e-7.
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const y = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    const value = 1 - y * Math.exp(-x * x);
    return x < 0 ? -value : value;
  }

  // The probability of each cell of the grid, [CELLS, CELLS] with y first; what lies outside goes to the edge.
  function density(target) {
    const { centres, deviation } = target;
    const p = new Float64Array(CELLS * CELLS);
    const shares = (centre) => {
      const edges = Array.from({ length: CELLS + 1 }, (_, k) => {
        if (k === 0) return 0;
        if (k === CELLS) return 1;
        const edge = (k / CELLS) * 2 * SPAN - SPAN;
        return 0.5 * (1 + erf((edge - centre) / (deviation * Math.SQRT2)));
      });
      return Array.from({ length: CELLS }, (_, k) => Math.max(0, edges[k + 1] - edges[k]));
    };
    for (const [x, y] of centres) {
      const [across, up] = [shares(x), shares(y)];
      for (let j = 0; j < CELLS; j++) {
        if (up[j] === 0) continue;
        for (let i = 0; i < CELLS; i++) p[j * CELLS + i] += (up[j] * across[i]) / centres.length;
      }
    }
    return p;
  }

  function histogram(points, count) {
    const q = new Float64Array(CELLS * CELLS);
    const cell = (v) => Math.max(0, Math.min(CELLS - 1, Math.floor(((v + SPAN) / (2 * SPAN)) * CELLS)));
    for (let n = 0; n < count; n++) q[cell(points[2 * n + 1]) * CELLS + cell(points[2 * n])] += 1 / count;
    return q;
  }

  // KL(p || q), in nats.
  function kl(p, q) {
    let sum = 0;
    for (let k = 0; k < p.length; k++) if (p[k] > 0) sum += p[k] * Math.log(p[k] / q[k]);
    return sum;
  }

  function jensenShannon(p, q) {
    const middle = p.map((value, k) => (value + q[k]) / 2);
    return (kl(p, middle) + kl(q, middle)) / 2;
  }

  const withFloor = (q) => q.map((value) => (1 - FLOOR) * value + FLOOR / q.length);

  // ---- the Wasserstein distance -------------------------------------------------------------------------

  // The cost of the best plan that moves the mass p to q between cells of a grid [cells, cells] whose centres are
  // `size` apart, with the Euclidean distance: exact, by successive shortest paths (Ahuja, Magnanti & Orlin 1993,
  // section 9.7). Mass that both have stays where it is: with a metric as the cost that is always optimal.
  // advance(milliseconds) works for about that long, so that a picture can be drawn in between, and says
  // whether the plan is complete.
  class Transport {
    constructor(p, q, cells, size) {
      const sources = [];
      const sinks = [];
      for (let k = 0; k < p.length; k++) {
        const excess = p[k] - q[k];
        if (excess > NEGLIGIBLE) sources.push([k, excess]);
        if (excess < -NEGLIGIBLE) sinks.push([k, -excess]);
      }
      const [ns, nt] = [sources.length, sinks.length];
      Object.assign(this, { ns, nt, value: 0, done: ns === 0 || nt === 0 });
      this.supply = Float64Array.from(sources, ([, mass]) => mass);
      this.demand = Float64Array.from(sinks, ([, mass]) => mass);
      this.cost = new Float64Array(ns * nt);
      for (let i = 0; i < ns; i++) {
        for (let j = 0; j < nt; j++) {
          const [a, b] = [sources[i][0], sinks[j][0]];
          const across = (a % cells) - (b % cells);
          const up = Math.floor(a / cells) - Math.floor(b / cells);
          this.cost[i * nt + j] = size * Math.hypot(across, up);
        }
      }
      this.flow = new Float64Array(ns * nt);
      this.givers = sinks.map(() => new Set()); // sink -> sources whose mass it holds
      // dual prices: cost - from[i] - to[j] is never negative, and zero where mass flows
      this.from = new Float64Array(ns);
      this.to = new Float64Array(nt);
      for (let j = 0; j < nt; j++) {
        let least = Infinity;
        for (let i = 0; i < ns; i++) least = Math.min(least, this.cost[i * nt + j]);
        this.to[j] = least;
      }
      this.distance = new Float64Array(ns + nt);
      this.parent = new Int32Array(ns + nt);
      this.settled = new Uint8Array(ns + nt);
    }

    advance(milliseconds) {
      const end = performance.now() + milliseconds;
      while (!this.done && performance.now() < end) this.augment();
      return this.done;
    }

    solve() {
      while (!this.done) this.augment();
      return this.value;
    }

    // Dijkstra from every source that still has mass to the nearest sink that still wants some.
    augment() {
      const { ns, nt, supply, demand, cost, flow, from, to, distance, parent, settled, givers } = this;
      distance.fill(Infinity);
      settled.fill(0);
      for (let i = 0; i < ns; i++) {
        if (supply[i] > 0) {
          distance[i] = 0;
          parent[i] = -1;
        }
      }
      let end = -1;
      for (;;) {
        let node = -1;
        let least = Infinity;
        for (let k = 0; k < ns + nt; k++) {
          if (!settled[k] && distance[k] < least) {
            least = distance[k];
            node = k;
          }
        }
        if (node < 0) break;
        settled[node] = 1;
        if (node < ns) {
          for (let j = 0; j < nt; j++) {
            if (settled[ns + j]) continue;
            const reach = least + Math.max(0, cost[node * nt + j] - from[node] - to[j]);
            if (reach < distance[ns + j]) {
              distance[ns + j] = reach;
              parent[ns + j] = node;
            }
          }
        } else if (demand[node - ns] > 0) {
          end = node;
          break;
        } else {
          for (const i of givers[node - ns]) {
            if (!settled[i] && least < distance[i]) {
              distance[i] = least; // mass flows there, so that the reduced cost is zero
              parent[i] = node;
            }
          }
        }
      }
      if (end < 0) {
        this.done = true;
        return;
      }
      const length = distance[end];
      for (let i = 0; i < ns; i++) if (settled[i]) from[i] += length - distance[i];
      for (let j = 0; j < nt; j++) if (settled[ns + j]) to[j] -= length - distance[ns + j];
      let mass = demand[end - ns];
      let node = end;
      while (parent[node] >= 0) {
        if (node < ns) mass = Math.min(mass, flow[node * nt + (parent[node] - ns)]);
        node = parent[node];
      }
      const start = node;
      mass = Math.min(mass, supply[start]);
      for (node = end; parent[node] >= 0; node = parent[node]) {
        const before = parent[node];
        if (node >= ns) {
          flow[before * nt + (node - ns)] += mass;
          givers[node - ns].add(before);
          this.value += mass * cost[before * nt + (node - ns)];
        } else {
          const k = node * nt + (before - ns);
          flow[k] -= mass;
          this.value -= mass * cost[k];
          if (flow[k] <= 1e-15) {
            flow[k] = 0;
            givers[before - ns].delete(node);
          }
        }
      }
      supply[start] = supply[start] - mass < 1e-12 ? 0 : supply[start] - mass;
      demand[end - ns] = demand[end - ns] - mass < 1e-12 ? 0 : demand[end - ns] - mass;
    }
  }

  // The same on cells twice as wide, which is all that the eye needs and eight times as fast.
  function coarser(p) {
    const half = CELLS / 2;
    const out = new Float64Array(half * half);
    for (let j = 0; j < CELLS; j++) {
      for (let i = 0; i < CELLS; i++) out[(j >> 1) * half + (i >> 1)] += p[j * CELLS + i];
    }
    return out;
  }

  Object.assign(GP, {
    SPAN, CELLS, FLOOR, DATA, sample, pointsToText, pointsFromText, rounded,
    coverage, density, histogram, withFloor, kl, jensenShannon, Transport, coarser,
  });
})(typeof globalThis === "undefined" ? this : globalThis);
