// Paint a label map: classes go on paper by brush or bucket, and SPADE and CLADE paint the face.
(function () {
  "use strict";
  const { register, tensor, paint } = window.GanDemos;
  const { element, button, choice, screen } = window.GanControls;
  const SIDE = 64, AREA = SIDE * SIDE, BACKGROUND = 0, STEPS_BACK = 100;
  // Radii in pixels of the map. A disc of the finest holds at least one pixel's middle, wherever it is put.
  const BRUSHES = { fine: 0.75, medium: 2, broad: 5 };
  const GROUPS = ["hair", "skin", "eyes"]; // classes that are divided by colour; all others are a group too

  // ---- what tools do to a map ------------------------------------------------------------------------------

  // Every pixel that is not further than `radius` from the line between two points: no gaps, however fast it was drawn.
  function line(map, from, to, radius, label) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]], length = dx * dx + dy * dy;
    for (let k = 0; k < AREA; k++) {
      const [x, y] = [(k % SIDE) + 0.5 - from[0], Math.floor(k / SIDE) + 0.5 - from[1]];
      const along = length ? Math.max(0, Math.min(1, (x * dx + y * dy) / length)) : 0;
      if (Math.hypot(x - along * dx, y - along * dy) <= radius) map[k] = label;
    }
  }

  // The region of one class that holds pixel `place`: all that is reached by steps to the four sides.
  function fill(map, place, label) {
    const old = map[place], waiting = [place];
    if (old === label) return;
    while (waiting.length) {
      const k = waiting.pop(), x = k % SIDE;
      if (map[k] !== old) continue;
      map[k] = label;
      if (x > 0) waiting.push(k - 1);
      if (x < SIDE - 1) waiting.push(k + 1);
      if (k >= SIDE) waiting.push(k - SIDE);
      if (k < AREA - SIDE) waiting.push(k + SIDE);
    }
  }

  function replace(map, place, label) {
    const old = map[place];
    map.forEach((value, k) => { if (value === old) map[k] = label; });
  }

  const same = (a, b) => a.every((value, k) => value === b[k]);

  // A map and what it was before.
  class Sheet {
    constructor(map) {
      this.map = map;
      this.past = [];
      this.future = [];
      this.before = null;
    }

    // Between `begin` and `end` lies one step of the undo.
    begin() {
      this.before = this.map.slice();
    }

    end() {
      if (this.before && !same(this.before, this.map)) {
        this.past = [...this.past.slice(1 - STEPS_BACK), this.before];
        this.future = [];
      }
      this.before = null;
    }

    // From one pile to the other; whether there was something.
    go(from, to) {
      if (!from.length || this.before) return false;
      to.push(this.map.slice());
      this.map.set(from.pop());
      return true;
    }

    undo() { return this.go(this.past, this.future); }
    redo() { return this.go(this.future, this.past); }
  }

  // ---- what is shown ---------------------------------------------------------------------------------------

  const rgb = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));

  function show(canvas, map, table) {
    const picture = new ImageData(SIDE, SIDE);
    map.forEach((label, k) => picture.data.set([...table[label], 255], 4 * k));
    if (canvas.width !== SIDE) Object.assign(canvas, { width: SIDE, height: SIDE });
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  // A network's picture and the time it took: the median of the last nine, for single ones jump. The very first, which
  // warms up, counts only as long as there is no other.
  function painter(network, title) {
    const shown = screen(title, { class: "demo-pixels", "data-network": title.toLowerCase(), "aria-label": `the face by ${title}` });
    const time = element("b", { class: "demo-milliseconds" }), times = [];
    let runs = 0;
    shown.element.querySelector("span").append(" ", time);
    return {
      element: shown.element,
      async draw(map) {
        const input = tensor(BigInt64Array.from(map, BigInt), [1, SIDE, SIDE]), from = performance.now();
        const { images } = await network.run({ label_map: input });
        times.unshift(performance.now() - from);
        runs += 1;
        times.length = Math.min(times.length, runs === 2 ? 1 : 9);
        paint(shown.canvas, images);
        const median = [...times].sort((a, b) => a - b)[times.length >> 1];
        time.textContent = `${median.toFixed(1)} ms`;
      },
    };
  }

  function start(stage) {
    const { names, colours, examples } = stage.data.classes, table = colours.map(rgb);
    const maps = examples.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    const sheet = new Sheet(maps[0].slice());
    const painters = [painter(stage.networks.spade, "SPADE"), painter(stage.networks.clade, "CLADE")];
    const draw = stage.following(async () => {
      const map = sheet.map.slice(); // both paint the same, whatever the finger does meanwhile
      for (const each of painters) await each.draw(map);
    });

    // ---- the palette ----
    let label = names.findIndex((name) => name === "blue hair");
    const last = (name) => name.slice(name.lastIndexOf(" ") + 1);
    const members = [...GROUPS, "others"].map((group) => names.map((_, k) => k).filter((k) =>
      group === "others" ? !GROUPS.includes(last(names[k])) : last(names[k]) === group));
    const rows = members.map((ids, row) => choice(GROUPS[row] || "others", ids.map((k) => ({
      text: row < GROUPS.length ? names[k].slice(0, names[k].lastIndexOf(" ")) : names[k],
      value: k, title: names[k], colour: colours[k],
    })), label, (k) => take(k)));
    function take(k) {
      label = k;
      rows.forEach((row) => row.choose(k));
    }
    const nextOf = (ids) => take(ids[(ids.indexOf(label) + 1) % ids.length]);

    // ---- the paper ----
    const paper = screen("label map", {
      class: "demo-pixels demo-paper", tabindex: 0, role: "application", "aria-label": "label map to paint on", "aria-describedby": "demo-label-map-keys",
    });
    const { canvas } = paper, says = paper.element.querySelector("span");
    const ring = element("i", { class: "demo-ring", hidden: true });
    paper.element.prepend(element("div", { class: "demo-sheet" }, canvas, ring));

    let cursor = [SIDE / 2 + 0.5, SIDE / 2 + 0.5], drawing = null; // drawing: where the stroke has come to
    const inside = ([x, y]) => x >= 0 && y >= 0 && x < SIDE && y < SIDE;
    const place = ([x, y]) => Math.floor(y) * SIDE + Math.floor(x);
    const radius = () => BRUSHES[tool.value] || 0.5;

    function look() {
      const at = `${(100 * 2 * radius()) / SIDE}%`;
      Object.assign(ring.style, { left: `${(100 * cursor[0]) / SIDE}%`, top: `${(100 * cursor[1]) / SIDE}%`, width: at, height: at });
      if (inside(cursor)) says.textContent = `here: ${names[sheet.map[place(cursor)]]}`;
    }

    function offer() {
      undo.setAttribute("aria-disabled", !sheet.past.length);
      redo.setAttribute("aria-disabled", !sheet.future.length);
    }

    function refresh() {
      show(canvas, sheet.map, table);
      offer();
      look();
      return draw();
    }

    function press(point) {
      cursor = point;
      sheet.begin();
      if (tool.value in BRUSHES) {
        drawing = point;
        line(sheet.map, point, point, radius(), label);
      } else {
        if (inside(point)) ({ fill, replace })[tool.value](sheet.map, place(point), label);
        sheet.end();
      }
      refresh();
    }

    function move(points) {
      cursor = points[points.length - 1];
      if (!drawing) return look();
      for (const point of points) {
        line(sheet.map, drawing, point, radius(), label);
        drawing = point;
      }
      refresh();
    }

    function lift() {
      if (!drawing) return;
      drawing = null;
      sheet.end();
      offer();
    }

    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      return [["clientX", box.left + canvas.clientLeft, canvas.clientWidth], ["clientY", box.top + canvas.clientTop, canvas.clientHeight]]
        .map(([name, from, length]) => (SIDE * (event[name] - from)) / length);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      event.preventDefault(); // no selecting, no dragging
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      says.setAttribute("aria-live", "off");
      ring.hidden = event.pointerType === "touch";
      press(point(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary) return;
      ring.hidden = event.pointerType === "touch";
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      move((all.length ? all : [event]).map(point));
    });
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointerleave", () => { ring.hidden = true; });

    // ---- by keys: the cursor moves by pixels and draws while the space bar is held ----
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const group = members[Number((/^Digit([1-4])$/.exec(event.code) || [])[1]) - 1];
      const presses = event.key === " " || event.key === "Enter";
      if (!way && !group && !presses) return;
      event.preventDefault();
      says.setAttribute("aria-live", "polite");
      ring.hidden = false;
      if (group) {
        nextOf(group);
        says.textContent = `with ${names[label]}`;
      } else if (presses) {
        if (!event.repeat) press(cursor);
      } else {
        const step = event.shiftKey ? 8 : 1; // and the middle of a pixel, wherever a mouse has left the cursor
        move([cursor.map((v, k) => Math.max(0, Math.min(SIDE - 1, Math.floor(v) + step * way[k])) + 0.5)]);
      }
    });
    canvas.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") lift(); });
    canvas.addEventListener("blur", () => { lift(); ring.hidden = true; });

    // ---- tools ----
    const tool = choice("tool", [
      { text: "fine", value: "fine", title: "fine brush" },
      { text: "medium", value: "medium", title: "medium brush" },
      { text: "broad", value: "broad", title: "broad brush" },
      { text: "fill", value: "fill", title: "fill a region" },
      { text: "replace", value: "replace", title: "replace a class everywhere" },
    ], "medium", () => look());
    const undo = button("undo", () => { if (sheet.undo()) refresh(); }, { title: "undo (Ctrl+Z)", "aria-label": "undo" });
    const redo = button("redo", () => { if (sheet.redo()) refresh(); }, { title: "redo (Ctrl+Shift+Z)", "aria-label": "redo" });
    stage.root.addEventListener("keydown", (event) => {
      const key = event.key.toLowerCase();
      if (!(event.ctrlKey || event.metaKey) || event.altKey || (key !== "z" && key !== "y")) return;
      event.preventDefault();
      (key === "y" || event.shiftKey ? redo : undo).click();
    });

    // ---- where to begin ----
    const begin = (map) => {
      lift();
      sheet.begin();
      sheet.map.set(map);
      sheet.end();
      refresh();
    };
    const telling = (map) => names.filter((name, k) => map.includes(k) && (GROUPS.includes(last(name)) || name === "glasses")).join(", ");
    const starts = maps.map((map) => {
      const small = element("canvas", { class: "demo-pixels", role: "img", "aria-label": telling(map) });
      show(small, map, table);
      return element("button", { type: "button", "aria-label": telling(map), title: telling(map), onclick: () => begin(map) }, small);
    });
    starts.push(button("empty", () => begin(new Uint8Array(AREA).fill(BACKGROUND))));

    paper.element.append(element("div", { class: "demo-choice demo-back" }, undo, redo));
    stage.root.append(
      element("div", { class: "demo-easel" }, paper.element, ...painters.map((each) => each.element)),
      element("div", { class: "demo-controls demo-tools" },
        tool.element, ...rows.map((row) => row.element),
        element("div", { class: "demo-field" }, element("span", { class: "demo-label" }, "start from"),
          element("div", { class: "demo-choice demo-starts", role: "group", "aria-label": "start from" }, ...starts)),
        element("p", { class: "demo-keys", id: "demo-label-map-keys" },
          "Keys on the map: arrows move, space paints, 1 to 4 choose a class of each row, Ctrl+Z undoes.")));
    says.textContent = "label map";
    const first = refresh();
    says.textContent = "paint on this map";
    return first;
  }

  register("label_map", { networks: ["spade", "clade"], data: ["classes"], start });
})();
