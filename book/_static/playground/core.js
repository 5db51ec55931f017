// Networks of linear layers with rectified or maxout units: forward, backward, the second derivatives that a
// gradient penalty asks for, spectral normalisation, the costs of five games, Adam and SGD, and a seeded random
// number generator. Double precision throughout; the conventions are those of gan_course, test_playground.py
// compares the two.
(function (root) {
  "use strict";
  const GP = (root.GanPlayground = root.GanPlayground || {});

  // ---- random numbers -------------------------------------------------------------------------------

  // FNV-1a, to turn a seed and the name of a stream into four words of state.
  function hash(text, start) {
    let h = start >>> 0;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
    h = Math.imul(h ^ (h >>> 16), 2246822507);
    h = Math.imul(h ^ (h >>> 13), 3266489909);
    return (h ^ (h >>> 16)) >>> 0;
  }

  // sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes the usual tests. Each purpose has a stream
  // of its own, so that looking (arrows, measures) never changes a run.
  class Random {
    constructor(seed, stream) {
      const text = `${seed}/${stream || ""}`;
      this.state = Uint32Array.of(hash(text, 1), hash(text, 2), hash(text, 3), 1);
      this.spare = NaN;
      for (let i = 0; i < 15; i++) this.word();
    }

    word() {
      const s = this.state;
      const out = (s[0] + s[1] + s[3]) >>> 0;
      s[3] = s[3] + 1;
      s[0] = s[1] ^ (s[1] >>> 9);
      s[1] = s[2] + (s[2] << 3);
      s[2] = ((s[2] << 21) | (s[2] >>> 11)) + out;
      return out;
    }

    uniform() {
      return (this.word() + 0.5) / 4294967296; // never 0, so that its logarithm is finite
    }

    below(n) {
      return Math.floor(this.uniform() * n);
    }

    normal() {
      if (this.spare === this.spare) {
        const value = this.spare;
        this.spare = NaN;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      this.spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    }

    normals(into) {
      for (let i = 0; i < into.length; i++) into[i] = this.normal();
      return into;
    }
  }

  // ---- a layer ----------------------------------------------------------------------------------------

  // activation: "relu", "maxout" or "none". Row j * pieces + k of the weight is piece k of unit j.
  class Layer {
    constructor(inputs, units, activation, pieces) {
      this.inputs = inputs;
      this.units = units;
      this.activation = activation;
      this.pieces = activation === "maxout" ? pieces : 1;
      this.rows = units * this.pieces;
      this.weight = new Float64Array(this.rows * inputs);
      this.bias = new Float64Array(this.rows);
      this.weightGradient = new Float64Array(this.rows * inputs);
      this.biasGradient = new Float64Array(this.rows);
      this.spectral = null;
      this.used = this.weight; // what multiplies: the weight, or the weight over its norm
    }

    // The norm is estimated by power iteration, one step for each forward pass in training (Miyato et al. 2018,
    // algorithm 1). u and v start from 15 steps.
    normalise(random) {
      const u = random.normals(new Float64Array(this.rows));
      const v = random.normals(new Float64Array(this.inputs));
      this.spectral = { u, v, sigma: 1, gradient: new Float64Array(this.weight.length) };
      this.used = new Float64Array(this.weight.length);
      unit(u);
      for (let i = 0; i < 15; i++) this.iterate();
      this.refresh(false);
    }

    iterate() {
      const { u, v } = this.spectral;
      this.forward(u, v);
      this.backward(u, v);
    }

    // u = W v and v = W' u, as unit vectors.
    forward(u, v) {
      for (let r = 0; r < this.rows; r++) u[r] = dot(this.weight, r * this.inputs, v, 0, this.inputs);
      unit(u);
    }

    backward(u, v) {
      const { rows, inputs, weight } = this;
      v.fill(0);
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < inputs; i++) v[i] += weight[r * inputs + i] * u[r];
      }
      unit(v);
    }

    // To be called before each forward pass. Where the network does not learn, the iteration goes on from u and v
    // for one step that is not kept, as in gan_course.
    refresh(training) {
      if (!this.spectral) return;
      let { u, v } = this.spectral;
      if (training) this.iterate();
      else {
        [u, v] = [Float64Array.from(u), Float64Array.from(v)];
        this.backward(u, v);
        this.forward(u, v);
      }
      const { rows, inputs, weight, used } = this;
      let sigma = 0;
      for (let r = 0; r < rows; r++) sigma += u[r] * dot(weight, r * inputs, v, 0, inputs);
      this.spectral.sigma = sigma;
      for (let i = 0; i < weight.length; i++) used[i] = weight[i] / sigma;
    }

    // Where gradients with respect to `used` are collected.
    get target() {
      return this.spectral ? this.spectral.gradient : this.weightGradient;
    }

    // From the normalised weight W / sigma, sigma = u' W v, to the weight itself: (g - <g, W / sigma> u v') / sigma.
    collect() {
      if (!this.spectral) return;
      const { u, v, sigma, gradient } = this.spectral;
      const { rows, inputs, used, weightGradient } = this;
      const along = dot(gradient, 0, used, 0, gradient.length);
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < inputs; i++) {
          const k = r * inputs + i;
          weightGradient[k] += (gradient[k] - along * u[r] * v[i]) / sigma;
        }
      }
      gradient.fill(0);
    }
  }

  function dot(a, i, b, j, n) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += a[i + k] * b[j + k];
    return sum;
  }

  function unit(vector) {
    const norm = Math.sqrt(dot(vector, 0, vector, 0, vector.length));
    for (let i = 0; i < vector.length; i++) vector[i] /= Math.max(norm, 1e-12);
  }

  // ---- a network --------------------------------------------------------------------------------------

  // sizes: [inputs, hidden, ..., outputs]; the last layer is linear.
  class Network {
    constructor(sizes, activation, pieces) {
      this.layers = [];
      for (let l = 0; l + 1 < sizes.length; l++) {
        const last = l + 2 === sizes.length;
        this.layers.push(new Layer(sizes[l], sizes[l + 1], last ? "none" : activation, pieces));
      }
      this.inputs = sizes[0];
      this.outputs = sizes[sizes.length - 1];
    }

    initialise(random, limitOf) {
      this.layers.forEach((layer, index) => {
        const limit = limitOf(layer, index);
        for (let i = 0; i < layer.weight.length; i++) layer.weight[i] = limit * (2 * random.uniform() - 1);
        layer.bias.fill(0);
      });
    }

    normalise(random) {
      for (const layer of this.layers) layer.normalise(random);
    }

    refresh(training) {
      for (const layer of this.layers) layer.refresh(training);
    }

    zeroGradients() {
      for (const layer of this.layers) {
        layer.weightGradient.fill(0);
        layer.biasGradient.fill(0);
      }
    }

    // [[parameters, gradients], ...] in the order of torch: weight, bias, layer by layer.
    parameters() {
      return this.layers.flatMap((layer) => [
        [layer.weight, layer.weightGradient],
        [layer.bias, layer.biasGradient],
      ]);
    }

    // The room for a batch of up to n samples: what the backward pass has to remember.
    pass(n) {
      return new Pass(this, n);
    }
  }

  class Pass {
    constructor(network, capacity) {
      this.network = network;
      this.capacity = capacity;
      this.count = 0;
      this.input = null;
      this.values = network.layers.map((layer) => new Float64Array(capacity * layer.units));
      // the row that made each unit's value, or -1 where a rectified unit is shut
      this.winners = network.layers.map((layer) => new Int32Array(capacity * layer.units));
      this.slopes = network.layers.map((layer) => new Float64Array(capacity * layer.units));
      this.inputGradient = new Float64Array(capacity * network.inputs);
      this.tangents = null;
    }

    get output() {
      return this.values[this.values.length - 1];
    }

    // input: [count, inputs] in a row. Returns [count, outputs].
    forward(input, count, training) {
      this.network.refresh(Boolean(training));
      this.input = input;
      this.count = count;
      let x = input;
      this.network.layers.forEach((layer, l) => {
        forwardLayer(layer, x, count, this.values[l], this.winners[l]);
        x = this.values[l];
      });
      return x;
    }

    // slope: [count, outputs], the derivative of a cost with respect to the output. Adds to the gradients of the
    // parameters (where `parameters`), and returns the derivative with respect to the input (where `toInput`).
    backward(slope, parameters, toInput) {
      const { layers } = this.network;
      const last = layers.length - 1;
      this.slopes[last].set(slope.subarray(0, this.count * layers[last].units));
      for (let l = last; l >= 0; l--) {
        const x = l > 0 ? this.values[l - 1] : this.input;
        const below = l > 0 ? this.slopes[l - 1] : toInput ? this.inputGradient : null;
        backwardLayer(layers[l], x, this.count, this.slopes[l], this.winners[l], below, parameters);
        if (parameters) layers[l].collect();
      }
      return this.inputGradient;
    }

    // The gradient with respect to the parameters of the sum over samples of direction . (d output / d input),
    // for a network with one output. Between its kinks the network is linear in its input, so that second
    // derivatives come from products of weights alone: the direction is pushed forward along the open units, and
    // meets the slopes that come backward. Call backward(ones, false, true) first; it leaves the slopes here.
    addSecondOrder(direction) {
      const { layers } = this.network;
      this.tangents = this.tangents || layers.map((layer) => new Float64Array(this.capacity * layer.units));
      let t = direction;
      layers.forEach((layer, l) => {
        tangentLayer(layer, t, this.count, this.slopes[l], this.winners[l], this.tangents[l]);
        layer.collect();
        t = this.tangents[l];
      });
    }
  }

  function forwardLayer(layer, x, count, values, winners) {
    const { inputs, rows, units, pieces, used, bias, activation } = layer;
    const line = scratch(rows);
    const whole = rows - (rows % 4);
    for (let n = 0; n < count; n++) {
      const at = n * inputs;
      let r = 0;
      for (; r < whole; r += 4) {
        // four rows at once: four sums that do not wait for one another
        let a = bias[r], b = bias[r + 1], c = bias[r + 2], d = bias[r + 3];
        let i = r * inputs, j = i + inputs, k = j + inputs, l = k + inputs;
        for (let m = at; m < at + inputs; m++) {
          const value = x[m];
          a += used[i++] * value;
          b += used[j++] * value;
          c += used[k++] * value;
          d += used[l++] * value;
        }
        line[r] = a;
        line[r + 1] = b;
        line[r + 2] = c;
        line[r + 3] = d;
      }
      for (; r < rows; r++) line[r] = bias[r] + dot(used, r * inputs, x, at, inputs);
      const out = n * units;
      for (let j = 0; j < units; j++) {
        let row = j * pieces;
        let value = line[row];
        if (activation === "maxout") {
          for (let k = 1; k < pieces; k++) {
            if (line[j * pieces + k] > value) {
              row = j * pieces + k;
              value = line[row];
            }
          }
        } else if (activation === "relu" && !(value > 0)) {
          row = -1;
          value = 0;
        }
        values[out + j] = value;
        winners[out + j] = row;
      }
    }
  }

  // slopes: derivatives with respect to the units' values; those of shut units are set to zero on the way.
  function backwardLayer(layer, x, count, slopes, winners, below, parameters) {
    const { inputs, units, used, biasGradient, target } = layer;
    if (below) below.fill(0, 0, count * inputs);
    for (let n = 0; n < count; n++) {
      const at = n * inputs;
      for (let j = 0; j < units; j++) {
        const row = winners[n * units + j];
        const slope = slopes[n * units + j];
        if (row < 0) slopes[n * units + j] = 0;
        if (row < 0 || slope === 0) continue;
        const w = row * inputs;
        if (parameters) {
          biasGradient[row] += slope;
          for (let i = 0; i < inputs; i++) target[w + i] += slope * x[at + i];
        }
        if (below) for (let i = 0; i < inputs; i++) below[at + i] += slope * used[w + i];
      }
    }
  }

  function tangentLayer(layer, t, count, slopes, winners, out) {
    const { inputs, units, used, target } = layer;
    for (let n = 0; n < count; n++) {
      const at = n * inputs;
      for (let j = 0; j < units; j++) {
        const row = winners[n * units + j];
        const slope = slopes[n * units + j];
        if (row < 0) {
          out[n * units + j] = 0;
          continue;
        }
        const w = row * inputs;
        if (slope !== 0) for (let i = 0; i < inputs; i++) target[w + i] += slope * t[at + i];
        out[n * units + j] = dot(used, w, t, at, inputs);
      }
    }
  }

  let shared = new Float64Array(256);
  function scratch(n) {
    if (shared.length < n) shared = new Float64Array(n);
    return shared;
  }

  // ---- games ------------------------------------------------------------------------------------------

  const softplus = (s) => Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)));
  const sigmoid = (s) => (s >= 0 ? 1 / (1 + Math.exp(-s)) : Math.exp(s) / (1 + Math.exp(s)));

  // Each part is [cost of one score, its derivative]; the cost of a batch is the mean. The discriminator pays
  // real + fake, the generator pays generator. output and boundary: what D says, and where it is undecided.
  const crossEntropy = {
    real: [(s) => softplus(-s), (s) => -sigmoid(-s)],
    fake: [softplus, sigmoid],
    output: sigmoid,
    boundary: 0.5,
  };
  const identity = (s) => s;
  const GAMES = {
    minimax: { ...crossEntropy, generator: [(s) => -softplus(s), (s) => -sigmoid(s)] },
    non_saturating: { ...crossEntropy, generator: [(s) => softplus(-s), (s) => -sigmoid(-s)] },
    least_squares: {
      real: [(s) => 0.5 * (s - 1) * (s - 1), (s) => s - 1],
      fake: [(s) => 0.5 * s * s, (s) => s],
      generator: [(s) => 0.5 * (s - 1) * (s - 1), (s) => s - 1],
      output: identity,
      boundary: 0.5,
    },
    hinge: {
      real: [(s) => Math.max(0, 1 - s), (s) => (s < 1 ? -1 : 0)],
      fake: [(s) => Math.max(0, 1 + s), (s) => (s > -1 ? 1 : 0)],
      generator: [(s) => -s, () => -1],
      output: identity,
      boundary: 0,
    },
    wasserstein: {
      real: [(s) => -s, () => -1],
      fake: [(s) => s, () => 1],
      generator: [(s) => -s, () => -1],
      output: identity,
      boundary: 0,
    },
  };

  // The mean cost of `count` scores; the derivative with respect to each goes to `slopes`.
  function costOf([cost, derivative], scores, count, slopes) {
    let sum = 0;
    for (let n = 0; n < count; n++) {
      sum += cost(scores[n]);
      slopes[n] = derivative(scores[n]) / count;
    }
    return sum / count;
  }

  // weight * E[(|gradient of the critic at x_hat| - 1)^2], x_hat = fake + alpha (real - fake); adds to the
  // gradients of the critic (Gulrajani et al. 2017, equation 3). real, fake: [count, inputs]; alpha: [count].
  function gradientPenalty(pass, real, fake, alpha, count, weight) {
    const { inputs } = pass.network;
    const between = new Float64Array(count * inputs);
    for (let n = 0; n < count; n++) {
      for (let i = 0; i < inputs; i++) {
        const k = n * inputs + i;
        between[k] = fake[k] + alpha[n] * (real[k] - fake[k]);
      }
    }
    pass.forward(between, count, true);
    const gradient = pass.backward(new Float64Array(count).fill(1), false, true);
    const direction = new Float64Array(count * inputs);
    let sum = 0;
    for (let n = 0; n < count; n++) {
      const at = n * inputs;
      const norm = Math.sqrt(dot(gradient, at, gradient, at, inputs));
      sum += (norm - 1) * (norm - 1);
      const scale = norm > 0 ? (2 * weight * (norm - 1)) / (norm * count) : 0;
      for (let i = 0; i < inputs; i++) direction[at + i] = scale * gradient[at + i];
    }
    pass.addSecondOrder(direction);
    return (weight * sum) / count;
  }

  // ---- optimizers -------------------------------------------------------------------------------------

  // Kingma & Ba 2015, algorithm 1, with torch's place for epsilon.
  class Adam {
    constructor(network, beta1) {
      this.parameters = network.parameters();
      this.beta1 = beta1;
      this.beta2 = 0.999;
      this.epsilon = 1e-8;
      this.steps = 0;
      this.first = this.parameters.map(([p]) => new Float64Array(p.length));
      this.second = this.parameters.map(([p]) => new Float64Array(p.length));
    }

    step(rate) {
      const { beta1, beta2, epsilon } = this;
      this.steps += 1;
      const size = rate / (1 - beta1 ** this.steps);
      const correction = Math.sqrt(1 - beta2 ** this.steps);
      this.parameters.forEach(([p, g], k) => {
        const m = this.first[k];
        const v = this.second[k];
        for (let i = 0; i < p.length; i++) {
          m[i] += (1 - beta1) * (g[i] - m[i]);
          v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
          p[i] -= (size * m[i]) / (Math.sqrt(v[i]) / correction + epsilon);
        }
      });
    }
  }

  class SGD {
    constructor(network, momentum) {
      this.parameters = network.parameters();
      this.momentum = momentum;
      this.velocity = this.parameters.map(([p]) => new Float64Array(p.length));
    }

    step(rate) {
      this.parameters.forEach(([p, g], k) => {
        const v = this.velocity[k];
        for (let i = 0; i < p.length; i++) {
          v[i] = this.momentum * v[i] + g[i];
          p[i] -= rate * v[i];
        }
      });
    }
  }

  Object.assign(GP, { Random, Network, GAMES, costOf, gradientPenalty, Adam, SGD, sigmoid, softplus });
})(typeof globalThis === "undefined" ? this : globalThis);
