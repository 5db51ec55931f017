// Draw and see: pix2pix of the book, on a paper to draw on.
//
// The network was trained on outlines: thin black lines, and along them, one pixel wide, the colours of the parts of
// a face. Nobody draws such a thing by hand. So a paper holds what these lines are made from: of each pixel the part
// that it belongs to and how much ink there is; what the network gets follows from them as in gan_course/data/pairs.py.
(function () {
  "use strict";
  const { register, tensor, paint } = window.GanDemos;
  const { element, button, choice } = window.GanControls;
  const SIDE = 64, AREA = SIDE * SIDE, WHITE = 255;
  const GROUND = 0; // the first part of every label map
  const PEN = 0.8, BRUSH = 3.4, ERASER = 5; // widths in pixels; the lines of the training faces are 0.6 to 1 wide
  const RIM = 2; // how far beyond its edge the eraser looks for what it should leave behind
  const HOP = 2; // widest line of an example over which a colour goes on
  const TINT = 0.25; // how much of a part's colour is shown where the network sees none
  const NEAR = 3; // how far from the finger a part may be
  const STEPS = 100; // to undo
  const TOOLS = {
    pen: "Draw lines, then fill what they enclose with a colour.",
    brush: "Brush in an eye, or lips.",
    fill: "Touch what the colour is to fill.",
    eraser: "What lies around closes over what you erase.",
  };

  // ---- papers ------------------------------------------------------------------------------------------------

  const copy = ({ labels, ink, colours }) => ({ labels: labels.slice(), ink: ink.slice(), colours });
  const inside = (x, y) => x >= 0 && y >= 0 && x < SIDE && y < SIDE;

  // The pixels at most `reach` from pixel k, in a square; those next to it for 1.
  function around(k, reach, visit) {
    const x = k % SIDE, y = (k - x) / SIDE;
    for (let v = Math.max(0, y - reach); v <= Math.min(SIDE - 1, y + reach); v++) {
      for (let u = Math.max(0, x - reach); u <= Math.min(SIDE - 1, x + reach); u++) visit(v * SIDE + u);
    }
  }

  // The pixels whose centre is at most `reach` from the line between two points, with their distance.
  function along([x0, y0], [x1, y1], reach, visit) {
    const dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    const first = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
    const last = (a, b) => Math.min(SIDE - 1, Math.ceil(Math.max(a, b) + reach));
    for (let y = first(y0, y1); y <= last(y0, y1); y++) {
      for (let x = first(x0, x1); x <= last(x0, x1); x++) {
        const px = x + 0.5 - x0, py = y + 0.5 - y0;
        const share = square ? Math.max(0, Math.min(1, (px * dx + py * dy) / square)) : 0;
        const distance = Math.hypot(px - share * dx, py - share * dy);
        if (distance <= reach) visit(y * SIDE + x, distance);
      }
    }
  }

  // What has a colour of its own.
  const paintable = (label, { ink, pen }) => ![GROUND, ink, pen].includes(label);

  // The pixels with another part beside them, where pencils go.
  function edges({ labels }) {
    const found = new Uint8Array(AREA);
    for (let k = 0; k < AREA; k++) around(k, 1, (near) => { if (labels[near] !== labels[k]) found[k] = 1; });
    return found;
  }

  // The paper in colours 0 to 255 [3, H, W]: with `tint` 0 what the network gets.
  function shown(paper, parts, tint) {
    const edge = edges(paper), values = new Float32Array(3 * AREA);
    for (let k = 0; k < AREA; k++) {
      const painted = paintable(paper.labels[k], parts), share = painted ? (edge[k] ? 1 : tint) : 0;
      for (let c = 0; c < 3; c++) {
        const colour = painted ? paper.colours[paper.labels[k]][c] : WHITE;
        values[c * AREA + k] = Math.round((WHITE + share * (colour - WHITE)) * paper.ink[k] / WHITE);
      }
    }
    return values;
  }

  const scaled = (values) => values.map((v) => v / 127.5 - 1);

  // ---- tools -------------------------------------------------------------------------------------------------

  function draw(paper, from, to, parts) {
    along(from, to, PEN / 2 + 0.5, (k, distance) => {
      const light = Math.round(WHITE * (distance + (1 - PEN) / 2));
      paper.ink[k] = Math.min(paper.ink[k], light);
      if (distance <= 0.55) paper.labels[k] = parts.pen;
    });
  }

  function brush(paper, from, to, label) {
    along(from, to, BRUSH / 2, (k) => {
      paper.labels[k] = label;
      paper.ink[k] = WHITE;
    });
  }

  // What lies around the eraser closes over what it takes: the part that is there most, but the ground where it is a
  // third of it. So a mouth vanishes into the skin, and hair is taken away from outside.
  function erase(paper, from, to, parts) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let k = 0; k <= steps; k++) eraseAt(paper, from.map((v, c) => v + (to[c] - v) * k / steps), parts);
  }

  function eraseAt(paper, point, parts) {
    const count = new Map();
    along(point, point, ERASER / 2 + RIM, (k, distance) => {
      const label = paper.labels[k];
      if (distance > ERASER / 2 && !parts.lines.includes(label)) count.set(label, (count.get(label) || 0) + 1);
    });
    const most = [...count].sort((a, b) => b[1] - a[1])[0];
    const all = [...count.values()].reduce((sum, n) => sum + n, 0);
    const left = !most || 3 * (count.get(GROUND) || 0) > all ? GROUND : most[0];
    along(point, point, ERASER / 2, (k) => {
      paper.labels[k] = left;
      paper.ink[k] = WHITE;
    });
  }

  // The pixels that can be reached from pixel `start` over those that `open` allows; `next` gives neighbours.
  function flood(start, open, next) {
    const found = new Uint8Array(AREA), todo = [start];
    found[start] = 1;
    while (todo.length) {
      next(todo.pop(), (k) => {
        if (!found[k] && open(k)) {
          found[k] = 1;
          todo.push(k);
        }
      });
    }
    return found;
  }

  const DIRECTIONS = [[1, 0], [-1, 0], [0, 1], [0, -1]];
  function beside(k, visit) {
    const x = k % SIDE, y = (k - x) / SIDE;
    for (const [dx, dy] of DIRECTIONS) if (inside(x + dx, y + dy)) visit(k + dx + dy * SIDE);
  }

  // Nearest pixel to k that passes, or -1.
  function nearest(k, reach, passes) {
    let best = -1, least = Infinity;
    around(k, reach, (near) => {
      const distance = Math.hypot(near % SIDE - k % SIDE, Math.floor(near / SIDE) - Math.floor(k / SIDE));
      if (passes(near) && distance < least) [best, least] = [near, distance];
    });
    return best;
  }

  // The blank area around pixel `start`. Gaps of a hasty line, up to four pixels, count as closed. Null: it is open.
  function blank({ labels }, start) {
    const runsOut = (area) => area[0] || area[SIDE - 1]; // into the upper corners, where no face is
    for (const margin of [0, 1, 2]) {
      const narrow = Uint8Array.from(labels, (label) => Number(label === GROUND));
      labels.forEach((label, k) => { if (label !== GROUND) around(k, margin, (near) => { narrow[near] = 0; }); });
      const from = nearest(start, margin, (k) => narrow[k]);
      if (from < 0) continue;
      const area = flood(from, (k) => narrow[k], beside);
      if (runsOut(area)) continue;
      for (let grown = 0; grown < margin; grown++) {
        const before = area.slice();
        before.forEach((is, k) => { if (is) around(k, 1, (near) => { if (labels[near] === GROUND) area[near] = 1; }); });
      }
      return area;
    }
    return null;
  }

  // The pixels of the part at pixel `start`: all of them, as both eyes and every strand want the same colour, but not
  // what a line of the reader has parted from them.
  function part({ labels }, start, parts) {
    const label = labels[start], same = (k) => labels[k] === label;
    const whole = flood(start, same, (k, visit) => {
      const x = k % SIDE, y = (k - x) / SIDE;
      for (const [dx, dy] of DIRECTIONS) { // to the next pixel, and straight over a thin line of the example
        const there = (far) => (inside(x + far * dx, y + far * dy) ? k + far * (dx + dy * SIDE) : k);
        let far = 1;
        while (far <= HOP && labels[there(far)] === parts.ink) far++;
        visit(there(far));
      }
    });
    let parted = false; // does a line of the reader have this piece on one side, and another on the other?
    labels.forEach((found, k) => {
      if (found !== parts.pen) return;
      const sides = new Set();
      around(k, 2, (near) => { if (same(near)) sides.add(whole[near]); });
      if (sides.size === 2) parted = true;
    });
    return parted ? whole : Uint8Array.from(labels, (found) => Number(found === label));
  }

  // Why nothing was filled, if so.
  function fill(paper, [x, y], label, parts) {
    const { labels } = paper;
    let start = nearest(Math.floor(y) * SIDE + Math.floor(x), NEAR, (k) => !parts.lines.includes(labels[k]));
    if (start < 0) return "There is only ink here.";
    if (labels[start] === parts.sclera) { // who colours the white of an eye means the eye
      const iris = nearest(start, 2 * NEAR, (k) => labels[k] === parts.eyes);
      if (iris >= 0) start = iris;
    }
    const area = labels[start] === GROUND ? blank(paper, start) : part(paper, start, parts);
    if (!area) return "Here the colour would run out: close the line first.";
    area.forEach((is, k) => { if (is) labels[k] = label; });
    return "";
  }

  // ---- the demonstration ---------------------------------------------------------------------------------------

  const rgb = (code) => [1, 3, 5].map((from) => parseInt(code.slice(from, from + 2), 16));

  // Numbers of the labels: those of the examples, then the pen's, then `painted` and on, those of the palette.
  function numbered(names) {
    const parts = Object.fromEntries(names.map((name, k) => [name, k]));
    Object.assign(parts, { pen: names.length, painted: names.length + 1 });
    return { ...parts, lines: [parts.ink, parts.pen, parts.glasses, parts.earrings] }; // nothing to fill
  }

  function unpacked({ labels, ink, colours }, palette) {
    return {
      labels: Uint8Array.from(labels, (digit) => parseInt(digit, 16)),
      ink: Uint8Array.from(atob(ink), (byte) => byte.charCodeAt(0)),
      colours: [...colours, [0, 0, 0], ...palette.map(([, code]) => rgb(code))],
    };
  }

  function start(stage) {
    const { parts: names, palette, papers } = stage.data.examples;
    const parts = numbered(names), examples = papers.map((packed) => unpacked(packed, palette));
    const empty = { ...examples[0], labels: new Uint8Array(AREA), ink: new Uint8Array(AREA).fill(WHITE) };
    let paper = copy(examples[0]), stroke = null, plain = false, done = [], undone = [], keys = [32.5, 32.5];

    const square = (attributes) => element("canvas", { class: "demo-pixels", width: SIDE, height: SIDE, ...attributes });
    const sheet = square({
      class: "demo-pixels demo-paper", tabindex: 0, role: "application",
      "aria-label": "paper: the arrow keys move the tool, the space bar puts it down and lifts it",
    });
    const face = square({ role: "img", "aria-label": "the face that the network makes of the drawing" });
    const cursor = element("span", { class: "demo-drawing-cursor", hidden: true });
    const words = element("p", { class: "demo-drawing-words", role: "status" });
    const say = (text = TOOLS[tool.value]) => { words.textContent = text; };

    const respond = stage.following(async () => {
      const input = tensor(scaled(shown(paper, parts, 0)), [1, 3, SIDE, SIDE]);
      paint(face, (await stage.networks.generator.run({ input })).images);
    });

    function show() {
      paint(sheet, { data: scaled(shown(paper, parts, plain ? 0 : TINT)), dims: [1, 3, SIDE, SIDE] });
      back.disabled = !done.length;
      forth.disabled = !undone.length;
      return respond();
    }

    // ---- what was done, and how it is taken back

    function remember(before) {
      done = [...done.slice(1 - STEPS), before];
      undone = [];
      say();
    }

    function take(other) {
      finish();
      remember(paper);
      paper = copy(other);
      show();
    }

    function step(from, to) {
      if (!from.length) return;
      to.push(paper);
      paper = from.pop();
      show();
    }

    function undo() {
      finish();
      step(done, undone);
    }

    function redo() {
      finish();
      step(undone, done);
    }

    // ---- strokes: one at a time, by a pointer or by the keys

    function apply(from, to) {
      if (tool.value === "pen") draw(paper, from, to, parts);
      else if (tool.value === "brush") brush(paper, from, to, parts.painted + colour.value);
      else erase(paper, from, to, parts);
    }

    function begin(point, by) {
      finish();
      const before = copy(paper);
      if (tool.value === "fill") {
        const why = fill(paper, point, parts.painted + colour.value, parts);
        if (why) return say(why);
        remember(before);
      } else {
        stroke = { before, by, last: point, middle: point };
        apply(point, point);
      }
      show();
    }

    // Through the middles between points, bent towards the points: a curve without corners.
    function follow(point) {
      const { middle: from, last } = stroke, to = last.map((v, c) => (v + point[c]) / 2);
      const steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])) || 1;
      let before = from;
      for (let k = 1; k <= steps; k++) {
        const t = k / steps, after = from.map((v, c) => (1 - t) ** 2 * v + 2 * t * (1 - t) * last[c] + t ** 2 * to[c]);
        apply(before, after);
        before = after;
      }
      Object.assign(stroke, { last: point, middle: to });
    }

    function finish() {
      if (!stroke) return;
      apply(stroke.middle, stroke.last);
      remember(stroke.before);
      stroke = null;
      show();
    }

    function place({ clientX, clientY }) {
      const box = sheet.getBoundingClientRect();
      const share = [
        (clientX - box.left - sheet.clientLeft) / sheet.clientWidth,
        (clientY - box.top - sheet.clientTop) / sheet.clientHeight,
      ];
      return share.map((v) => Math.max(0, Math.min(SIDE - 0.01, SIDE * v)));
    }

    sheet.addEventListener("pointerdown", (event) => {
      if (event.button || (stroke && stroke.by !== "keys")) return; // a second finger does not draw
      sheet.setPointerCapture(event.pointerId);
      cursor.hidden = true;
      begin(place(event), event.pointerId);
    });
    sheet.addEventListener("pointermove", (event) => {
      if (!stroke || stroke.by !== event.pointerId) return;
      const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of events.length ? events : [event]) follow(place(one));
      show();
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      sheet.addEventListener(end, (event) => { if (stroke && stroke.by === event.pointerId) finish(); });
    }
    sheet.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (move) {
        keys = keys.map((v, c) => Math.max(0.5, Math.min(SIDE - 0.5, v + (event.shiftKey ? 4 : 1) * move[c])));
        if (stroke) {
          follow(keys);
          show();
        }
      } else if (event.key === " " || event.key === "Enter") {
        if (stroke) finish();
        else begin(keys, "keys");
      } else return;
      event.preventDefault();
      cursor.hidden = false;
      cursor.classList.toggle("demo-drawing-down", Boolean(stroke));
      [cursor.style.left, cursor.style.top] = keys.map((v) => `${100 * v / SIDE}%`);
    });
    sheet.addEventListener("blur", () => {
      if (stroke && stroke.by === "keys") finish();
      cursor.hidden = true;
    });
    stage.root.addEventListener("keydown", (event) => {
      const key = event.key.toLowerCase();
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !"zy".includes(key)) return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) redo();
      else undo();
    });

    // ---- the controls

    const tool = choice("tool", Object.keys(TOOLS).map((name) => ({ text: name, value: name })), "pen", () => {
      finish();
      say();
    });
    const swatches = palette.map(([title, code], value) => ({ text: "", value, title, colour: code }));
    const colour = choice("colour to fill and to brush with", swatches, 0, () => {
      finish();
      if (!["fill", "brush"].includes(tool.value)) tool.choose("fill");
      say();
    });
    colour.element.classList.add("demo-drawing-colours");
    const back = button("undo", undo), forth = button("redo", redo);
    const lines = button("only the lines", () => {
      plain = !plain;
      lines.setAttribute("aria-pressed", plain);
      show();
    }, { "aria-pressed": "false" });
    const starts = papers.map(({ name }, k) => {
      const small = square({ role: "img", "aria-label": name });
      paint(small, { data: scaled(shown(examples[k], parts, TINT)), dims: [1, 3, SIDE, SIDE] });
      return button(small, () => take(examples[k]), { "aria-label": `start from a drawing: ${name}`, title: name });
    });

    stage.root.append(element("div", { class: "demo-drawing" },
      element("div", { class: "demo-screen demo-drawing-sheet" }, element("div", {}, sheet, cursor), element("span", {}, "your drawing")),
      element("div", { class: "demo-screen demo-drawing-face" }, face, element("span", {}, "the network's face")),
      element("div", { class: "demo-drawing-tools" }, tool.element,
        element("div", { class: "demo-choice" }, back, forth, lines)),
      colour.element,
      words,
      element("div", { class: "demo-drawing-starts", role: "group", "aria-label": "start from" }, ...starts,
        button("empty paper", () => take(empty)))));
    say();
    return show();
  }

  register("drawing", { networks: ["generator"], data: ["examples"], start });
})();
