"""What this book asks of Sphinx beyond its configuration.

* The execution cache knows the package: the cache lies in a folder named after a hash of everything that
  a chapter's output depends on beside its own cells. A change in ``gan_course`` executes the chapters again.
* sphinx-thebe is taken out: Jupyter Book 1.x always loads it, and its script throws on every page.
* A line under each chapter's title opens the notebook on Colab or downloads it.
* ``{playground}`` puts the GAN that trains in the page there, as a picture until it is touched.
* ``{demo} NAME`` puts a trained generator there, as a picture until it is touched (see course_demos).
"""

from __future__ import annotations

import hashlib
import os
import sys
from html import escape
from pathlib import Path

import course_demos
from docutils import nodes
from docutils.parsers.rst import Directive, directives

ROOT = Path(__file__).resolve().parents[2]
CACHES = Path("book/_build/executed")
DEMOS = Path("book/_build/demos")
NOT_HASHED = {"__pycache__", ".ipynb_checkpoints"}


def execution_key(root: Path = ROOT) -> str:
    """A hash of what the chapters' outputs depend on beside their cells.

    That is the package with its data and weights, the requirements, the Python version, and whether the
    chapters run in fast mode.
    """
    package = [
        path
        for path in sorted((root / "gan_course").rglob("*"))
        if path.is_file() and not NOT_HASHED.intersection(path.parts)
    ]
    digest = hashlib.sha256()
    for path in [*package, root / "requirements.txt", root / "pyproject.toml"]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(f"{sys.version_info[:2]} {os.environ.get('GAN_COURSE_FAST', '1')}".encode())
    return digest.hexdigest()[:16]


def cache_folder(root: Path = ROOT) -> Path:
    return root / CACHES / execution_key(root)


def colab_address(repository: str, branch: str, notebook: str) -> str:
    """Where Colab opens ``notebook`` (a path inside the repository)."""
    path = repository.removeprefix("https://github.com/").rstrip("/")
    return f"https://colab.research.google.com/github/{path}/blob/{branch}/{notebook}"


def choose_cache(app, config) -> None:
    # book/build.py has filled a cache and names it; a bare `jupyter-book build` uses the one that fits now
    folder = os.environ.get("COURSE_EXECUTED") or cache_folder(Path(app.srcdir))
    config.nb_execution_cache_path = str(folder)


def remove_thebe(app, config) -> None:
    for listeners in app.events.listeners.values():
        listeners[:] = [item for item in listeners if not item.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [item for item in app.registry.css_files if item[0] != "sphinx-thebe.css"]


def add_chapter_links(app, doctree) -> None:
    """Put "open on Colab, download" under the title of a page that is a notebook."""
    source = Path(app.env.doc2path(app.env.docname))
    title = next(iter(doctree.findall(nodes.title)), None)
    if source.suffix != ".ipynb" or title is None or app.builder.format != "html":
        return
    theme = app.config.html_theme_options
    notebook = source.relative_to(app.srcdir).as_posix()
    colab = colab_address(theme["repository_url"], theme["repository_branch"], notebook)
    download = "../" * app.env.docname.count("/") + f"_sources/{notebook}"
    links = (
        f'<p class="chapter-links"><a class="chapter-colab" href="{colab}">Open in Colab</a>'
        f'<a class="chapter-download" href="{download}" download>Download the notebook</a></p>'
    )
    title.parent.insert(title.parent.index(title) + 1, nodes.raw("", links, format="html"))


def keep_launch_buttons_to_notebooks(app, pagename, templatename, context, doctree) -> None:
    """Colab opens notebooks only; the button of a Markdown page that runs a cell would lead nowhere."""
    if Path(app.env.doc2path(pagename)).suffix != ".ipynb":
        app.env.metadata[pagename].pop("kernelspec", None)


PLAYGROUND = """<figure class="gan-playground" data-start="{start}">
<link rel="stylesheet" href="{static}/playground/playground.css">
<div class="gp-front">
<img class="gp-poster gp-poster-light" src="{static}/playground/poster-light.webp" alt="{alt}"
width="960" height="960" loading="lazy">
<img class="gp-poster gp-poster-dark" src="{static}/playground/poster-dark.webp" alt="{alt}"
width="960" height="960" loading="lazy">
<button type="button" class="gp-open" hidden><span class="gp-open-text">{invitation}</span></button>
</div>
<p class="gp-why">{caption}
<span class="gp-needs">The game itself needs JavaScript, which does not run here.</span></p>
<script src="{static}/playground/loader.js" defer></script>
</figure>
"""
PLAYGROUND_ALT = (
    "A square plane with eight circles on a ring. Green samples lie in all eight; the heat map behind them, "
    "what the discriminator says, is pale there and orange elsewhere."
)


def playground_html(
    static: str,
    start: str = "",
    caption: str = "A GAN that trains in this page: nothing to install, nothing sent anywhere.",
    invitation: str = "Play with a GAN",
) -> str:
    """The figure that becomes the playground at the first touch of its button.

    Args:
        static: where the folder of static files lies, seen from the page.
        start: the state to begin with, written as in the address: "story=collapse&seed=3".
        caption: what stands under the picture until then.
        invitation: what the button says.
    """
    texts = {"start": start, "caption": caption, "invitation": invitation, "alt": PLAYGROUND_ALT}
    return PLAYGROUND.format(static=static, **{name: escape(text) for name, text in texts.items()})


class Playground(Directive):
    """``{playground}`` with the options ``start``, ``caption`` and ``invitation`` of `playground_html`."""

    option_spec = dict.fromkeys(("start", "caption", "invitation"), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env.docname
        static = "../" * page.count("/") + "_static"
        return [nodes.raw("", playground_html(static, **self.options), format="html")]


DEMO = """<figure class="gan-demo" data-demo="{name}">
<link rel="stylesheet" href="{static}/demos/demos.css">
<div class="demo-front">
<img class="demo-picture" src="{static}/demos/data/{name}/{picture}" alt="{alt}"
width="{width}" height="{height}" loading="lazy">
<button type="button" class="demo-open" hidden><span class="demo-open-text">{invitation}</span></button>
</div>
<div class="demo-stage" hidden></div>
<p class="demo-why">{caption}
<span class="demo-needs">The demonstration itself needs JavaScript, which does not run here.</span></p>
<p class="demo-times"></p>
<script src="{static}/demos/loader.js" defer></script>
</figure>
"""


def demo_html(static: str, name: str, folder: Path) -> str:
    """The figure that becomes a demonstration at the first touch of its button.

    Args:
        static: where the folder of static files lies, seen from the page.
        name: one of `course_demos.DEMOS`.
        folder: where the parts of the demonstrations were made.
    """
    demo = course_demos.DEMOS[name]
    width, height = course_demos.size_of_picture(folder, name)
    texts = {field: escape(text) for field, text in demo._asdict().items()}
    return DEMO.format(
        static=static, name=name, picture=course_demos.PICTURE, width=width, height=height, **texts
    )


class DemoDirective(Directive):
    """``{demo} NAME``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        environment = self.state.document.settings.env
        name = self.arguments[0]
        if name not in course_demos.DEMOS:
            raise self.error(
                f"there is no demonstration {name!r}; there are: {', '.join(course_demos.DEMOS)}"
            )
        static = "../" * environment.docname.count("/") + "_static"
        folder = demos_folder() / course_demos.INSIDE
        if name in course_demos.missing(folder):
            course_demos.make(name, folder)
        return [nodes.raw("", demo_html(static, name, folder), format="html")]


def demos_folder(root: Path = ROOT) -> Path:
    """Where the parts of the demonstrations lie, made for the package as it is now."""
    return root / DEMOS / course_demos.key(execution_key(root))


def add_demos(app, config) -> None:
    folder = demos_folder()
    folder.mkdir(parents=True, exist_ok=True)
    config.html_static_path.append(str(folder))


def setup(app):
    app.add_directive("playground", Playground)
    app.add_directive("demo", DemoDirective)
    app.connect("config-inited", choose_cache)
    app.connect("config-inited", add_demos)
    app.connect("config-inited", remove_thebe)
    app.connect("doctree-read", add_chapter_links)
    app.connect("html-page-context", keep_launch_buttons_to_notebooks, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
