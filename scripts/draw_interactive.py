"""Make what the figures that a reader drives take from the book: recorded points, still pictures.

The pictures, ``book/images/interactive_NAME.svg``, are the figures as they open, drawn by their own
scripts in a Chromium. They stand in the page for print and for readers without scripts.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gmmtf_book.c05_tokens_and_patterns.driven import recorded_runs
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from kernel_environment import BOOK
from sphinx_interactive import FIGURES, FOLDER, PREFIX, scripts_of

STATIC = BOOK / "_static"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def data() -> str:
    """Return the script that hands the recorded runs to the figure "training"."""
    runs = json.dumps(recorded_runs(Study.recorded()), indent=1)
    head = '"use strict";\n/* The recorded runs, written by scripts/draw_interactive.py. */\n'
    return f"{head}gmmtf.training.recorded = {runs};\n"


def find_browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def bare_page(name: str, picture: str = "data:,") -> str:
    """Return a page that holds one figure and nothing else."""
    files = [(STATIC / script).as_uri() for script in scripts_of([name])]
    scripts = "".join(f'<script src="{file}"></script>' for file in files)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>figure</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<link rel="stylesheet" href="{(STATIC / FOLDER / "figures.css").as_uri()}"></head>'
        '<body style="margin: 1rem"><main class="bd-article">'
        f'<figure style="margin: 0" class="{PREFIX}{name}">'
        f'<img src="{picture}" alt="The figure as it opens."><figcaption>Caption.</figcaption>'
        f"</figure></main>{scripts}</body></html>"
    )


def still(page: Page, name: str, folder: Path) -> str:
    """Return the picture of a figure as it opens."""
    path = folder / f"{name}.html"
    path.write_text(bare_page(name), encoding="utf-8")
    page.goto(path.as_uri())
    style = (STATIC / FOLDER / "figures.css").read_text(encoding="utf-8")
    page.wait_for_function(f"() => gmmtf.{name}.frame.ready")
    picture: str = page.evaluate(f"style => gmmtf.{name}.frame.picture(style)", style)
    return picture + "\n"


def main() -> None:
    """Write the recorded points and the pictures of all figures."""
    (STATIC / FOLDER / "training-data.js").write_text(data(), encoding="utf-8")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page()
        for name in FIGURES:
            picture = still(page, name, Path(folder))
            (BOOK / "images" / f"interactive_{name}.svg").write_text(picture, encoding="utf-8")
        browser.close()


if __name__ == "__main__":
    main()
