// The only script that a page with a playground loads by itself: it waits for the first touch of the button,
// then loads the rest from the folder where it lies.
(function () {
  "use strict";
  const FILES = ["core.js", "world.js", "game.js", "view.js", "app.js"];
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  let loading = null;

  function load() {
    loading = loading || Promise.all(FILES.map((name) => new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = here + name;
      script.async = false; // in this order
      script.onload = done;
      script.onerror = () => failed(new Error(`${name} did not load`));
      document.head.append(script);
    })));
    return loading;
  }

  function prepare(figure) {
    if (figure.dataset.ready) return;
    figure.dataset.ready = "yes";
    const button = figure.querySelector(".gp-open");
    const shared = location.hash.startsWith("#gan?");
    if (shared) button.querySelector(".gp-open-text").textContent = "Open the run in this link";
    button.hidden = false;
    figure.querySelector(".gp-needs").hidden = true;
    button.addEventListener("click", () => {
      button.disabled = true;
      button.setAttribute("aria-busy", "true");
      load().then(() => window.GanPlayground.start(figure)).catch((error) => {
        button.hidden = true;
        figure.querySelector(".gp-why").textContent = `The playground could not start (${error.message}). The picture stays.`;
      });
    });
    if (shared) figure.scrollIntoView({ block: "center" });
  }

  const prepareAll = () => document.querySelectorAll(".gan-playground").forEach(prepare);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", prepareAll);
  else prepareAll();
})();
