// What demonstrations are built of: buttons, sliders, canvases that a finger, a mouse and a keyboard can use.
(function () {
  "use strict";
  let numbers = 0;

  // element("p", { class: "x", onclick: f }, "text", child): attributes, listeners, children.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const button = (text, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, text);

  // One of several: a row of buttons with a name. `options`: [{ text, value, title?, colour? }].
  function choice(label, options, chosen, onchange) {
    const row = element("div", { class: "demo-choice", role: "group", "aria-label": label });
    const buttons = options.map(({ text, value, title, colour }) => {
      const made = button(text, () => api.choose(value, true), { title, "aria-label": title });
      if (colour) made.prepend(element("i", { class: "demo-swatch", style: `background:${colour}` }));
      return made;
    });
    const api = {
      element: element("div", { class: "demo-field" }, element("span", { class: "demo-label" }, label), row),
      value: chosen,
      choose(value, tell = false) {
        api.value = value;
        options.forEach((option, k) => buttons[k].setAttribute("aria-pressed", option.value === value));
        if (tell) onchange(value);
      },
    };
    row.append(...buttons);
    api.choose(chosen);
    return api;
  }

  // A number from a range; `written` says how it is shown.
  function slider(label, { min, max, step = 0.01, value, written = (v) => v.toFixed(2) }, onchange) {
    const id = `demo-slider-${++numbers}`;
    const output = element("output", { for: id }, written(value));
    const input = element("input", { type: "range", id, min, max, step, value });
    const api = {
      element: element("div", { class: "demo-field" },
        element("label", { class: "demo-label", for: id }, label, " ", output), input),
      value,
      set(number, tell = false) {
        api.value = number;
        input.value = number;
        output.textContent = written(number);
        if (tell) onchange(number);
      },
    };
    input.addEventListener("input", () => api.set(Number(input.value), true));
    return api;
  }

  // A square whose point, dragged or moved by the arrow keys, gives two numbers in [-1, 1].
  function pad(label, value, onchange) {
    const knob = element("span", { class: "demo-knob" });
    const field = element("div", {
      class: "demo-pad", tabindex: 0, role: "application", "aria-roledescription": "two-dimensional slider",
    }, knob);
    const api = {
      element: element("div", { class: "demo-field" }, element("span", { class: "demo-label" }, label), field),
      value,
      set([x, y], tell = false) {
        const clip = (v) => Math.max(-1, Math.min(1, v));
        api.value = [clip(x), clip(y)];
        knob.style.left = `${50 * (api.value[0] + 1)}%`;
        knob.style.top = `${50 * (1 - api.value[1])}%`;
        field.setAttribute("aria-label", `${label}: ${api.value.map((v) => v.toFixed(2)).join(", ")}`);
        if (tell) onchange(api.value);
      },
    };
    const follow = (event) => {
      const box = field.getBoundingClientRect();
      api.set([2 * (event.clientX - box.left) / box.width - 1, 1 - 2 * (event.clientY - box.top) / box.height], true);
    };
    field.addEventListener("pointerdown", (event) => {
      field.setPointerCapture(event.pointerId);
      follow(event);
    });
    field.addEventListener("pointermove", (event) => {
      if (field.hasPointerCapture(event.pointerId)) follow(event);
    });
    field.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!move) return;
      event.preventDefault();
      api.set([api.value[0] + 0.05 * move[0], api.value[1] + 0.05 * move[1]], true);
    });
    api.set(value);
    return api;
  }

  // A canvas that shows an image, `title` under it.
  function screen(title, attributes = {}) {
    const canvas = element("canvas", { role: "img", "aria-label": title, width: 1, height: 1, ...attributes });
    return { canvas, element: element("div", { class: "demo-screen" }, canvas, element("span", {}, title)) };
  }

  window.GanControls = { element, button, choice, slider, pad, screen };
})();
