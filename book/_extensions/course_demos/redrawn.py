"""Another hand, in the chapter on U-GAT-IT."""

import base64
from pathlib import Path

import matplotlib

import course_demos
from gan_course import data, export, translation, weights

# Held-out faces, with short, long, curly and tied hair, of every colour of skin, with and without glasses.
SHOWN = [10, 3, 12, 22, 29, 4, 20, 30, 14, 19]
COUNT = 40
IN_PICTURE = 8


def make(folder: Path) -> None:
    faces = data.load("faces", domains=("adventurer", "lorelei"), image_size=64, count=COUNT, seed=1)
    ugatit, _ = weights.load("ugatit-faces")
    cyclegan, _ = weights.load("cyclegan-faces")
    for name, method in (("ugatit", ugatit), ("cyclegan", cyclegan)):
        course_demos.write_network(folder / name, export.EXPORTS[method.name](method, "AtoB"))
    chosen = faces.a.tensors["image"][SHOWN]
    colours = (matplotlib.colormaps["inferno"](range(256))[:, :3] * 255).round().astype("uint8")
    course_demos.write_data(
        folder / "faces",
        {
            "size": chosen.shape[-1],
            "images": [base64.b64encode(image.numpy().tobytes()).decode() for image in chosen],
            # of the attention map that lies over the face, and how much of it: as `translate` writes it
            "colours": colours.tolist(),
            "strength": translation.HEAT,
        },
    )
    images = faces.a.batch(SHOWN[:IN_PICTURE])["image"]
    rows = [
        images,
        translation.covered(images, ugatit.attend(images)),
        ugatit.translate(images),
        cyclegan.translate(images),
    ]
    course_demos.write_picture(folder, rows, scale=2)
