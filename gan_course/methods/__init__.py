"""The papers, one file each."""

import dataclasses
from typing import Any

from gan_course.methods.acgan import ACGAN
from gan_course.methods.base import Method
from gan_course.methods.biggan import BigGAN
from gan_course.methods.cgan import ConditionalDCGAN
from gan_course.methods.cyclegan import CycleGAN
from gan_course.methods.dcgan import DCGAN
from gan_course.methods.gan import GAN
from gan_course.methods.munit import MUNIT
from gan_course.methods.pix2pix import Pix2Pix
from gan_course.methods.pix2pixhd import Pix2PixHD
from gan_course.methods.sean import SEAN
from gan_course.methods.sngan import SNGAN
from gan_course.methods.spade import SPADE
from gan_course.methods.stargan import StarGAN
from gan_course.methods.ugatit import UGATIT
from gan_course.methods.unit import UNIT

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        GAN,
        DCGAN,
        ConditionalDCGAN,
        ACGAN,
        SNGAN,
        BigGAN,
        Pix2Pix,
        Pix2PixHD,
        SPADE,
        SEAN,
        CycleGAN,
        UNIT,
        MUNIT,
        StarGAN,
        UGATIT,
    )
}


def names() -> list[str]:
    """The names that `build` and the command line know."""
    return list(METHODS)


def method_class(name: str) -> type[Method]:
    """The class behind a name. Raises ValueError listing the known names."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known methods: {', '.join(METHODS)}")
    return METHODS[name]


def config_class(name: str) -> type:
    """The configuration dataclass of a method."""
    return method_class(name).config_class


def build(name: str, **fields: Any) -> Method:
    """A method made from the fields of its configuration; what is not given is the paper's.

    >>> build("dcgan", image_size=32, channels=1).config.image_size
    32

    Raises:
        ValueError: the method or a field is unknown (the message lists those known), or a value is
            one that the method cannot take.
    """
    cls = method_class(name)
    known = [field.name for field in dataclasses.fields(cls.config_class)]
    unknown = [field for field in fields if field not in known]
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; its options: {', '.join(known)}")
    # a run card is JSON, which has lists where a configuration has tuples
    return cls(cls.config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}))
