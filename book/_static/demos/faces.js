// Tagged faces: the ACGAN of the book, its tags as buttons.
(function () {
  "use strict";
  const { register, tensor, gaussian, paint } = window.GanDemos;
  const { element, button, choice, slider, screen } = window.GanControls;
  const NOISE = 100, ROW = 6;
  const FIRST = { hair: 3, eyes: 2, skin: 0, glasses: 0 }; // the tags that it begins with
  const KEPT = 0.8; // of the noise in that of its neighbours; with 0.6 of another it is as long as any

  function start(stage) {
    const { generator } = stage.networks, kinds = stage.data.tags;
    let seeds = 1;
    const fresh = () => gaussian(NOISE, seeds++);
    const near = (noise) => {
      const other = fresh();
      return noise.map((v, k) => KEPT * v + Math.sqrt(1 - KEPT * KEPT) * other[k]);
    };
    let noise = fresh(), others = [];
    const meet = () => { others = Array.from({ length: ROW }, () => near(noise)); };
    meet();

    // Faces as a list of { noise, tags: the number of the tag of each kind }.
    function request(faces) {
      const tags = faces.flatMap((face) => kinds.flatMap(({ options }, k) =>
        options.map(({ value }) => Number(value === face.tags[k]))));
      return {
        noise: tensor(Float32Array.from({ length: faces.length * NOISE }, (_, k) =>
          spread.value * faces[Math.floor(k / NOISE)].noise[k % NOISE]), [faces.length, NOISE]),
        tags: tensor(Float32Array.from(tags), [faces.length, tags.length / faces.length]),
      };
    }

    const said = (tags) => tags.map((value, k) => kinds[k].options[value].title).join(", ");
    const now = () => ({ noise, tags: chosen.map(({ value }) => value) });

    // The row: neighbours of the noise, or the same noise with every tag of a kind.
    function neighbours() {
      const { tags } = now();
      if (row.value === "noise") return others.map((other) => ({ noise: other, tags }));
      const kind = kinds.findIndex((each) => each.kind === row.value);
      return kinds[kind].options.map(({ value }) => ({ noise, tags: tags.map((tag, k) => (k === kind ? value : tag)) }));
    }

    const shown = screen("the face", { class: "demo-large" }), words = shown.element.lastChild;
    const cells = Array.from({ length: ROW }, (_, k) => {
      const { canvas } = screen("");
      return { canvas, element: button("", () => take(k), { class: "demo-neighbour" }) };
    });
    cells.forEach((cell) => cell.element.append(cell.canvas));

    const draw = stage.following(async () => {
      const face = now(), faces = neighbours();
      paint(shown.canvas, (await generator.run(request([face]))).images);
      words.textContent = said(face.tags);
      shown.canvas.setAttribute("aria-label", `a face with ${said(face.tags)}`);
      const { images } = await generator.run(request(faces));
      cells.forEach((cell, k) => {
        cell.element.hidden = k >= faces.length;
        if (cell.element.hidden) return;
        const same = faces[k].noise === face.noise, title = same ? said(faces[k].tags) : `other noise ${k + 1}`;
        paint(cell.canvas, images, k);
        cell.canvas.setAttribute("aria-label", title);
        cell.element.setAttribute("aria-label", `take over: ${title}`);
        cell.element.setAttribute("aria-pressed", same && said(faces[k].tags) === said(face.tags));
      });
    });

    function take(k) {
      const face = neighbours()[k];
      chosen.forEach((each, kind) => each.choose(face.tags[kind]));
      if (face.noise !== noise) {
        noise = face.noise;
        meet();
      }
      draw();
    }

    const chosen = kinds.map(({ kind, options }) => choice(kind, options, FIRST[kind], draw));
    const spread = slider("truncation: noise", { min: 0, max: 1.5, value: 0.75, written: (v) => `× ${v.toFixed(2)}` }, draw);
    const again = button("new noise", () => {
      noise = fresh();
      meet();
      draw();
    });
    const rows = [{ text: "noise", value: "noise", title: "noise near by" }, ...kinds.map(({ kind }) => ({ text: kind, value: kind, title: `every ${kind}` }))];
    const row = choice("neighbours to take over", rows, "noise", draw);

    stage.root.append(
      element("div", { class: "demo-columns" },
        element("div", { class: "demo-faces-shown" }, shown.element),
        element("div", { class: "demo-controls" }, ...chosen.map((each) => each.element), again, spread.element)),
      element("div", { class: "demo-field demo-faces" }, row.element,
        element("div", { class: "demo-neighbours", role: "group", "aria-label": "faces to take over" },
          ...cells.map((cell) => cell.element))));
    return draw();
  }

  register("faces", { networks: ["generator"], data: ["tags"], start });
})();
