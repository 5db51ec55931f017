// Read by require.js when it starts: where the vendored widget code, and the fonts beside it, lie from this page.
window.require = {
  paths: { "@jupyter-widgets/html-manager": `${document.documentElement.dataset.content_root || "./"}_static/vendor/html-manager` },
};
