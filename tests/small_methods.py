"""Every method at a size that takes no time."""

import dataclasses

import torch

from gan_course import methods


def small(name: str) -> methods.Method:
    """Any method at a small size, by the fields that its configuration has."""
    wanted = {"image_size": 32, "channels": 1, "num_classes": 4, "ngf": 4, "ndf": 4, "ch": 4, "bottleneck": 8}
    wanted |= {"input_channels": 1, "label_nc": 5, "blocks": 1, "scales": 2, "layers": 3}
    wanted |= {
        "spade_features": 4,
        "mlp_features": 8,
        "shared_blocks": 1,
        "light": True,
        "attributes": (0, 1),
    } | ({"discriminator_layers": 0} if name == "ugatit" else {})
    wanted |= {"data_shape": (1, 16, 16), "generator_features": 8, "discriminator_features": 4}
    wanted |= {"style_size": 8, "encoder_features": 4} | ({"image_size": 64} if name == "sean" else {})
    known = {field.name for field in dataclasses.fields(methods.config_class(name))}
    torch.manual_seed(0)
    return methods.build(name, **{key: value for key, value in wanted.items() if key in known})
