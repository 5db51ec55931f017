"""Take the pictures that stand where a playground has not been touched yet, from the playground itself.

python book/playground_poster.py       # needs Chromium or Chrome with its driver

They show the healthy story with seed 0 where the story ends, in the colours of either mode.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FOLDER = Path(__file__).parent / "_static/playground"
SCRIPTS = ("core.js", "world.js", "game.js", "view.js")
SIDE = 960  # pixels
DRAW = """
const GP = GanPlayground, game = new GP.Game(GP.STORIES.healthy.settings);
game.playTo(GP.STORIES.healthy.rounds);
const plane = new GP.Plane(document.createElement("canvas"));
plane.attach(game);
return ["light", "dark"].map((theme) => {
  devicePixelRatio = 2;
  plane.draw(theme, arguments[0] / 2);
  return [theme, plane.canvas.toDataURL("image/webp", 0.86)];
});
"""


def main() -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"):
        options.add_argument(flag)
    driver = shutil.which("chromedriver")
    browser = webdriver.Chrome(options=options, service=Service(driver) if driver else Service())
    try:
        browser.set_script_timeout(120)
        for script in SCRIPTS:
            browser.execute_script((FOLDER / script).read_text(encoding="utf-8"))
        for theme, picture in browser.execute_script(DRAW, SIDE):
            path = FOLDER / f"poster-{theme}.webp"
            path.write_bytes(base64.b64decode(picture.split(",", 1)[1]))
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
