// The only script that a page with a demonstration loads by itself: it waits for the first touch of the button.
(function () {
  "use strict";
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const loading = new Map();

  // Each file once; `part` is what it delivers, if it delivers something.
  function load(path, part) {
    if (!loading.has(path)) {
      loading.set(path, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = here + path;
        if (part) script.dataset.part = part;
        script.onload = done;
        script.onerror = () => {
          loading.delete(path);
          failed(new Error(`${path} did not load`));
        };
        document.head.append(script);
      }));
    }
    return loading.get(path);
  }

  function lacks() {
    if (typeof WebAssembly !== "object") return "WebAssembly";
    if (typeof DecompressionStream !== "function") return "DecompressionStream";
    return "";
  }

  function fail(figure, why) {
    figure.querySelector(".demo-open").hidden = true;
    figure.querySelector(".demo-stage").hidden = true;
    figure.querySelector(".demo-front").hidden = false;
    figure.querySelector(".demo-why").textContent = `${why} The picture stays.`;
    figure.dataset.state = "failed";
  }

  function prepare(figure) {
    if (figure.dataset.state) return;
    figure.dataset.state = "waiting";
    figure.querySelector(".demo-needs").hidden = true;
    if (lacks()) return fail(figure, `This demonstration needs ${lacks()}, which this browser does not have.`);
    const button = figure.querySelector(".demo-open");
    button.hidden = false;
    button.addEventListener("click", () => {
      const touched = performance.now();
      button.disabled = true;
      button.setAttribute("aria-busy", "true");
      figure.dataset.state = "loading";
      const name = figure.dataset.demo;
      Promise.all([load("runtime.js"), load("controls.js").then(() => load(`${name}.js`))])
        .then(() => window.GanDemos.open(figure, { load, fail, touched }))
        .catch((error) => fail(figure, `The demonstration could not start (${error.message}).`));
    });
  }

  const prepareAll = () => document.querySelectorAll(".gan-demo").forEach(prepare);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", prepareAll);
  else prepareAll();
})();
