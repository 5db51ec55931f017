// Another hand: a face of one style, redrawn in the other by U-GAT-IT, with its attention map, and by CycleGAN.
(function () {
  "use strict";
  const { register, tensor, paint, read } = window.GanDemos;
  const { element, button, choice, slider, screen } = window.GanControls;
  const FINEST = 16; // pixels of an uploaded picture that become one, along a side

  // ---- pictures as numbers [3, size, size] in [-1, 1] --------------------------------------------------

  const unpacked = (bytes) => Float32Array.from(atob(bytes), (letter) => letter.charCodeAt(0) / 127.5 - 1);

  const mirrored = (values, size) => values.map((_, k) => values[k - (k % size) + size - 1 - (k % size)]);

  // Each value the mean of `times` x `times`, rounded to what a screen can show: the network gets what is seen.
  function reduced(fine, size, times) {
    const values = new Float32Array(3 * size * size), wide = size * times;
    fine.forEach((value, k) => {
      const row = Math.floor(k / wide), column = k % wide; // rows of all channels, one after the other
      values[Math.floor(row / times) * size + Math.floor(column / times)] += value / (times * times);
    });
    return values.map((value) => Math.round((value + 1) * 127.5) / 127.5 - 1);
  }

  // The centre square of a picture that a reader gives, on white. Browsers smooth differently when they make a
  // picture much smaller, so the last part of the way is gone here.
  async function uploaded(file, size) {
    const address = URL.createObjectURL(file);
    try {
      const picture = new Image();
      picture.src = address;
      await picture.decode();
      const { naturalWidth: width, naturalHeight: height } = picture, side = Math.min(width, height);
      const times = Math.min(FINEST, Math.ceil(side / size)), wide = size * times;
      const canvas = element("canvas", { width: wide, height: wide });
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, wide, wide);
      pen.imageSmoothingQuality = "high";
      pen.drawImage(picture, (width - side) / 2, (height - side) / 2, side, side, 0, 0, wide, wide);
      return reduced(read(canvas), size, times);
    } finally {
      URL.revokeObjectURL(address);
    }
  }

  // A heat map as the package's `attend` gives it: in [0, 1], 0 at its least, enlarged between the middles of pixels.
  function attention({ data, dims }, size) {
    const [, , height, width] = dims, low = Math.min(...data), range = Math.max(...data) - low || 1;
    const between = (k, count) => {
      const place = Math.max(0, (k + 0.5) * count / size - 0.5), first = Math.floor(place);
      return [first, Math.min(first + 1, count - 1), place - first];
    };
    return Float32Array.from({ length: size * size }, (_, k) => {
      const [top, bottom, down] = between(Math.floor(k / size), height), [left, right, along] = between(k % size, width);
      const mixed = (row) => (1 - along) * data[row * width + left] + along * data[row * width + right];
      return ((1 - down) * mixed(top) + down * mixed(bottom) - low) / range;
    });
  }

  // Values under a heat map in colours, `strength` of it.
  function covered(values, heat, colours, strength) {
    const area = heat.length;
    return values.map((value, k) => {
      const colour = colours[Math.min(colours.length - 1, Math.floor(colours.length * heat[k % area]))];
      return value + strength * (colour[Math.floor(k / area)] / 127.5 - 1 - value);
    });
  }

  // ---- the demonstration -------------------------------------------------------------------------------

  function start(stage) {
    const { size, images, colours, strength } = stage.data.faces;
    const { ugatit, cyclegan } = stage.networks;
    const shape = [1, 3, size, size], show = (canvas, data) => paint(canvas, { data, dims: shape });

    const source = screen("the face"), look = screen("attention"), redrawn = screen("U-GAT-IT"), other = screen("CycleGAN");
    let chosen = null, answers = null;

    const lay = () => show(look.canvas, covered(answers[beneath.value], answers.heat, colours, share.value));
    const cover = stage.following(async () => lay());
    const redraw = stage.following(async () => { // after `cover`, for this is what book/demo_times.py measures
      const face = turned.value ? mirrored(chosen, size) : chosen, input = { images: tensor(face, shape) };
      const first = await ugatit.run(input), second = await cyclegan.run(input);
      answers = { face, redrawing: first.translated.data, heat: attention(first.attention, size) };
      show(source.canvas, face);
      show(redrawn.canvas, answers.redrawing);
      show(other.canvas, second.translated.data);
      lay();
    });

    // One face of the row.
    const row = element("div", { class: "demo-thumbs", role: "group", "aria-label": "which face" });
    function offer(values, name) {
      const canvas = element("canvas", { role: "img", "aria-label": name });
      show(canvas, values);
      const pick = () => {
        chosen = values;
        for (const one of row.children) one.setAttribute("aria-pressed", one === made);
        said.textContent = "";
        return redraw();
      };
      const made = button(canvas, pick, { "aria-label": name });
      return { made, pick };
    }

    // A picture of the reader's takes the last place of the row, that of the one before.
    let mine = null, tries = 0;
    async function take(file) {
      const turn = ++tries;
      if (!file) return tell("That is not a file. Save the picture first, then choose it here.");
      try {
        const values = await uploaded(file, size);
        if (turn !== tries) return; // a later one is there
        const { made, pick } = offer(values, "your picture");
        if (mine) mine.remove();
        mine = made;
        row.append(made);
        pick();
      } catch {
        if (turn === tries) tell(`${file.name} is not a picture that this browser can read. The face stays as it was.`);
      }
    }
    const tell = (text) => { said.textContent = text; };

    const said = element("p", { class: "demo-said", role: "status" });
    const input = element("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "a picture of yours" });
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
    stage.root.addEventListener("dragover", (event) => {
      event.preventDefault();
      stage.root.classList.add("demo-drop");
    });
    stage.root.addEventListener("dragleave", (event) => {
      if (!stage.root.contains(event.relatedTarget)) stage.root.classList.remove("demo-drop");
    });
    stage.root.addEventListener("drop", (event) => {
      event.preventDefault();
      stage.root.classList.remove("demo-drop");
      take(event.dataTransfer.files[0]);
    });

    const share = slider("attention", { min: 0, max: 1, value: strength, written: (v) => `${Math.round(100 * v)} %` }, cover);
    const beneath = choice("laid over", [{ text: "the face", value: "face" }, { text: "the redrawing", value: "redrawing" }], "face", cover);
    const turned = choice("the face", [{ text: "as it is", value: false }, { text: "mirrored", value: true }], false, redraw);

    const faces = images.map((bytes, k) => offer(unpacked(bytes), `face ${k + 1}`));
    row.append(...faces.map(({ made }) => made));
    stage.root.append(
      element("div", { class: "demo-hands" }, ...[source, look, redrawn, other].map((s) => s.element)),
      row,
      element("div", { class: "demo-columns" },
        element("div", { class: "demo-controls" }, share.element),
        element("div", { class: "demo-controls" }, beneath.element),
        element("div", { class: "demo-controls" }, turned.element)),
      element("div", { class: "demo-own" },
        button("upload a picture", () => input.click()), input,
        element("p", {}, "Or drop it here. Its middle square is read in this page, and sent nowhere.")),
      said);
    return faces[0].pick();
  }

  register("redrawn", { networks: ["ugatit", "cyclegan"], data: ["faces"], start });
})();
