"""Digits on request, in the chapter on the conditional DCGAN."""

from pathlib import Path

import torch

import course_demos
from gan_course import export, weights


def make(folder: Path) -> None:
    method, _ = weights.load("cgan-mnist")
    generator = method.generator

    def draw(noise: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        # classes [N, 10] and not labels [N]: half a three and half an eight is something to ask for
        return generator.dcgan(torch.cat([noise, classes], dim=1))

    noise = method.draw_noise(2, torch.Generator().manual_seed(0))
    classes = torch.eye(method.config.num_classes)
    found = export.Exportable(export.Steps(draw, generator), {"noise": noise, "classes": classes[:2]})
    course_demos.write_network(folder / "generator", found)
    row = method.sample(10, noise=noise[:1].expand(10, -1), labels=torch.arange(10))
    course_demos.write_picture(folder, [row[:5], row[5:]], scale=4)
