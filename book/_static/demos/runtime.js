// Networks in a page: loads onnxruntime-web and the parts of a demonstration, runs them, and paints what they make.
//
// A demonstration's script calls
//   GanDemos.register(name, { networks: ["generator"], data: ["examples"], start(stage) { ... } });
// `start` fills `stage.root` and returns nothing. It finds its loaded parts in `stage.networks.NAME.run(inputs)` and
// `stage.data.NAME`, and wraps what it computes in `stage.following(work)`, see there.
(function () {
  "use strict";
  const demos = new Map(), parts = new Map(), stages = [];
  let starting = null; // the runtime, once for all demonstrations of a page

  // Called by a part's script, with its value.
  function deliver(value) {
    parts.set(document.currentScript.dataset.part, value);
  }

  function register(name, demo) {
    demos.set(name, demo);
  }

  async function unpacked(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function runtime(load) {
    starting = starting || (async () => {
      const vendor = "../vendor/onnxruntime-web/";
      await Promise.all([load(`${vendor}ort.wasm.js`), load(`${vendor}ort-wasm-simd-threaded.wasm.gz.js`)]);
      const { ort, ortWasmGzip } = window;
      window.ortWasmGzip = null; // five megabytes that nobody needs twice
      ort.env.wasm.numThreads = 1; // more would need headers that a file or a plain server does not send
      ort.env.wasm.wasmBinary = (await unpacked(ortWasmGzip)).buffer;
      ort.env.logLevel = "error";
      return ort;
    })();
    starting.catch(() => { starting = null; });
    return starting;
  }

  // Numbers and the shape that they fill: Float32Array, or BigInt64Array for int64.
  const tensor = (values, shape) => ({ values, shape });

  class Network {
    constructor(ort, session) {
      this.ort = ort;
      this.session = session;
    }

    // Inputs by name, made by `tensor`; outputs by name, with `data` and `dims`.
    run(inputs) {
      const feeds = Object.entries(inputs).map(([name, { values, shape }]) => {
        const kind = values instanceof BigInt64Array ? "int64" : "float32";
        return [name, new this.ort.Tensor(kind, values, shape)];
      });
      return this.session.run(Object.fromEntries(feeds));
    }
  }

  async function network(load, part) {
    const [ort] = await Promise.all([runtime(load), load(`data/${part}.js`, part)]);
    const bytes = await unpacked(parts.get(part));
    return new Network(ort, await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }));
  }

  async function data(load, part) {
    await load(`data/${part}.js`, part);
    return parts.get(part);
  }

  // Those of a list, by their names.
  async function named(names, make) {
    const made = await Promise.all(names.map(make));
    return Object.fromEntries(names.map((name, k) => [name, made[k]]));
  }

  class Stage {
    constructor(figure, { fail, touched }) {
      this.figure = figure;
      this.root = figure.querySelector(".demo-stage");
      this.fail = (error) => fail(figure, `The demonstration stopped (${error.message}).`);
      this.touched = touched;
    }

    // A function that asks for `work` (async: computes and paints) to be done: at once, or, when it is under way,
    // once more afterwards. A finger that moves faster than the network so gets the newest picture, not a queue.
    following(work) {
      let running = false, again = false;
      this.ask = async () => {
        again = true;
        if (running) return;
        running = true;
        try {
          while (again) {
            again = false;
            const from = performance.now();
            await work();
            this.count(performance.now() - from);
            await new Promise(requestAnimationFrame); // lets the page draw and listen
          }
        } catch (error) {
          this.fail(error);
        }
        running = false;
      };
      return this.ask;
    }

    // Times are shown, and stand in the figure's data-first and data-each (milliseconds) and data-pictures.
    count(milliseconds) {
      const { dataset } = this.figure;
      const pictures = Number(dataset.pictures || 0) + 1;
      if (pictures === 1) {
        dataset.first = Math.round(performance.now() - this.touched);
        dataset.state = "ready";
        this.figure.querySelector(".demo-front").hidden = true;
        this.root.hidden = false;
      } else {
        dataset.each = milliseconds.toFixed(1);
      }
      dataset.pictures = pictures;
      const line = this.figure.querySelector(".demo-times");
      line.textContent = `First picture after ${(dataset.first / 1000).toFixed(1)} s`
        + (dataset.each ? `, the last one in ${Math.max(1, Math.round(dataset.each))} ms.` : ".");
    }
  }

  async function open(figure, page) {
    const demo = demos.get(figure.dataset.demo), at = (name) => `${figure.dataset.demo}/${name}`;
    const stage = new Stage(figure, page);
    stages.push(stage);
    [stage.networks, stage.data] = await Promise.all([
      named(demo.networks, (name) => network(page.load, at(name))),
      named(demo.data || [], (name) => data(page.load, at(name))),
    ]);
    await demo.start(stage);
  }

  // ---- numbers and pictures ------------------------------------------------------------------------------

  // Uniform numbers in [0, 1) from a seed (mulberry32).
  function uniform(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // `count` numbers from N(0, 1), the same for the same seed (Box and Muller).
  function gaussian(count, seed) {
    const draw = uniform(seed);
    return Float32Array.from({ length: count }, () =>
      Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()));
  }

  // Image number `index` of an output [N, C, H, W] in [-1, 1], into a canvas that gets its size.
  function paint(canvas, { data, dims }, index = 0) {
    const [, channels, height, width] = dims, area = height * width;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const picture = new ImageData(width, height);
    for (let k = 0; k < area; k++) {
      for (let c = 0; c < 3; c++) {
        const value = data[(index * channels + (channels === 1 ? 0 : c)) * area + k];
        picture.data[4 * k + c] = Math.round((value + 1) * 127.5);
      }
      picture.data[4 * k + 3] = 255;
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  // The other way: what a canvas shows, as numbers [3, H, W] in [-1, 1].
  function read(canvas) {
    const { width, height } = canvas, area = width * height;
    const pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data;
    const values = new Float32Array(3 * area);
    for (let k = 0; k < area; k++) for (let c = 0; c < 3; c++) values[c * area + k] = pixels[4 * k + c] / 127.5 - 1;
    return values;
  }

  window.GanDemos = { deliver, register, open, stages, tensor, uniform, gaussian, paint, read };
})();
