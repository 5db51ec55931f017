"""Draw and see, in the chapter on pix2pix."""

import base64
from pathlib import Path

import course_demos
from gan_course import data, export, weights
from gan_course.data import faces, pairs

CHOSEN = (27, 4, 18, 31, 57, 8)  # of the held-out faces: each colour of hair once


def make(folder: Path) -> None:
    method, _ = weights.load("pix2pix-faces")
    course_demos.write_network(folder / "generator", export.EXPORTS["pix2pix"](method, "AtoB"))
    held_out = data.load("faces", image_size=64, count=max(CHOSEN) + 1, seed=1).select(list(CHOSEN))
    examples = {"parts": held_out.map_names, "palette": palette(), "papers": papers(held_out)}
    course_demos.write_data(folder / "examples", examples)
    drawn = pairs.with_input(held_out, "outline").batch(range(len(CHOSEN)))["input"]
    course_demos.write_picture(folder, [drawn, method.translate(drawn)], scale=4)


def palette() -> list[tuple[str, str]]:
    """The colours that the training faces have, with their names."""
    tagged = [
        (f"{colour} {part}", code)
        for part, colours in pairs.SPLIT.items()
        for colour, code in colours.items()
    ]
    own = dict(zip(faces.map_names(), faces.face_palette("adventurer", 1, 0).tolist(), strict=True))
    mouth = [(part, "#{:02x}{:02x}{:02x}".format(*own[part])) for part in ("lips", "tongue", "throat")]
    return [*tagged, *mouth, ("white", "#ffffff")]


def papers(images: data.ImageSet) -> list[dict]:
    """What `pairs.with_input` makes outlines of, for the page to do the same: the part and the ink of each
    pixel, and the colour of each part."""
    colours = pairs.region_colours(
        images.tensors["image"], images.tensors["label_map"], len(images.map_names)
    )
    return [
        {
            "name": ", ".join(name for name, tag in zip(images.tag_names, tags.tolist(), strict=True) if tag),
            "labels": "".join(f"{label:x}" for label in label_map.flatten().tolist()),
            "ink": base64.b64encode(drawing.numpy().tobytes()).decode(),
            "colours": own.tolist(),
        }
        for tags, label_map, drawing, own in zip(
            *(images.tensors[key] for key in ("tags", "label_map", "drawing")), colours, strict=True
        )
    ]
