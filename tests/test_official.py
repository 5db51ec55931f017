"""The authors' weights: networks written as theirs are, small, saved as theirs are, and read back."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from gan_course import weights
from gan_course.methods.cyclegan import CycleGAN, CycleGANConfig
from gan_course.methods.gan import GAN
from gan_course.methods.munit import MUNIT, MUNITConfig
from gan_course.methods.pix2pix import Pix2Pix, Pix2PixConfig
from gan_course.methods.pix2pixhd import Pix2PixHD, Pix2PixHDConfig
from gan_course.methods.sean import SEAN, SEANConfig
from gan_course.methods.spade import SPADE, SPADEConfig, one_hot
from gan_course.methods.ugatit import UGATIT, UGATITConfig
from gan_course.methods.unit import UNIT, UNITConfig
from gan_course.weights.official import load_official


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Holder(nn.Module):
    """Modules under given names."""

    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


def filled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics of some size, in evaluation mode; spectral norms as after some training."""
    rng = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        drawn = torch.randn(value.shape, generator=rng)
        if name.endswith("running_var"):
            value.copy_(0.5 + drawn.abs())
        elif name.endswith(("weight_u", "weight_v")):
            value.copy_(F.normalize(value + 0.2 * F.normalize(drawn, dim=0), dim=0))  # not quite settled
        else:
            fan = max(1, value[0].numel()) if value.dim() > 1 else 4
            value.copy_(drawn / fan**0.5)
    for name, value in network.state_dict().items():  # both see the same maps
        if "norm_s.param_free_norm" in name:
            value.copy_(network.state_dict()[name.replace("norm_s", "norm_0")])
    return network.eval()


def save(network: nn.Module, path, prefix: str = "") -> None:
    torch.save({prefix + name: value for name, value in network.state_dict().items()}, path)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Within float rounding of what is not all one number."""
    return theirs.std() > 1e-4 and (ours - theirs).abs().max() <= 5e-5 * theirs.abs().max()


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- pix2pix and CycleGAN ----------------------------------------------------------------------------


def instance(features: int) -> nn.Module:
    return nn.InstanceNorm2d(features)


class TheirBlock(nn.Module):
    """A level of the U-Net, with the smaller levels inside."""

    def __init__(self, outer, inner, norm, inside=None, channels=None, outermost=False) -> None:
        super().__init__()
        self.outermost = outermost
        bias = norm is instance
        down = nn.Conv2d(channels or outer, inner, 4, 2, 1, bias=bias)
        if outermost:
            layers = [down, inside, nn.ReLU(), nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1), nn.Tanh()]
        elif inside is None:
            up = nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=bias)
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
        else:
            up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=bias)
            layers = [nn.LeakyReLU(0.2), down, norm(inner), inside, nn.ReLU(), up, norm(outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class TheirWrapper(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def their_unet(norm, ngf: int = 2) -> nn.Module:
    """For 16 pixels: 4 levels."""
    block = TheirBlock(4 * ngf, 8 * ngf, norm)
    block = TheirBlock(2 * ngf, 4 * ngf, norm, block)
    block = TheirBlock(ngf, 2 * ngf, norm, block)
    return TheirWrapper(TheirBlock(3, ngf, norm, block, channels=3, outermost=True))


def their_patches(channels: int, norm, ndf: int = 2) -> nn.Module:
    bias = norm is instance
    return TheirWrapper(
        nn.Sequential(
            nn.Conv2d(channels, ndf, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(ndf, 2 * ndf, 4, 2, 1, bias=bias),
            norm(2 * ndf),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * ndf, 4 * ndf, 4, 1, 1, bias=bias),
            norm(4 * ndf),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * ndf, 1, 4, 1, 1),
        )
    )


def our_pix2pix(norm: str = "batch", **fields) -> Pix2Pix:
    return Pix2Pix(
        Pix2PixConfig(
            **{"image_size": 16, "ngf": 2, "ndf": 2, "discriminator_layers": 2, "norm": norm} | fields
        )
    )


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_pix2pix(tmp_path, norm):
    layer = nn.BatchNorm2d if norm == "batch" else instance
    generator, discriminator = filled(their_unet(layer)), filled(their_patches(6, layer), 1)
    save(generator, tmp_path / "latest_net_G.pth", "module.")
    save(discriminator, tmp_path / "latest_net_D.pth")
    method = our_pix2pix(norm).train()
    assert weights.load_official(method, tmp_path) == ("generator", "discriminator")
    assert not method.training
    x, pair = torch.randn(2, 3, 32, 16), torch.randn(2, 6, 16, 16)
    assert same(method.generator(x), generator(x))
    assert same(method.discriminator(pair), discriminator(pair))


def test_pixel_discriminator(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(6, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 1, 1, bias=False),
    )
    theirs = filled(Holder(net=net))
    save(theirs, tmp_path / "latest_net_D.pth")
    method = our_pix2pix(discriminator_layers=0)
    assert load_official(method, tmp_path) == ("discriminator",)
    pair = torch.randn(2, 6, 8, 8)
    assert same(method.discriminator(pair), net(pair))


class TheirResidual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


def residual(features: int) -> nn.Module:
    layers = [nn.ReflectionPad2d(1), nn.Conv2d(features, features, 3), instance(features)]
    return TheirResidual(*layers, nn.ReLU(), *layers_again(features))


def layers_again(features: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(features, features, 3), instance(features)]


def their_resnet(
    channels: int, ngf: int, blocks: int, halvings: int = 2, whole: bool = True
) -> list[nn.Module]:
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, ngf, 7), instance(ngf), nn.ReLU()]
    for k in range(halvings):
        n = ngf * 2 ** (k + 1)
        layers += [nn.Conv2d(n // 2, n, 3, 2, 1), instance(n), nn.ReLU()]
    layers += [residual(ngf * 2**halvings) for _ in range(blocks)]
    for k in reversed(range(halvings)):
        n = ngf * 2**k
        layers += [nn.ConvTranspose2d(2 * n, n, 3, 2, 1, 1), instance(n), nn.ReLU()]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()] if whole else layers


def our_cyclegan(**fields) -> CycleGAN:
    return CycleGAN(CycleGANConfig(image_size=16, ngf=2, ndf=2, blocks=2, layers=2, **fields))


def their_cyclegan() -> dict[str, nn.Module]:
    networks = {}
    for k, side in enumerate("AB"):
        networks[f"G_{side}"] = filled(TheirWrapper(nn.Sequential(*their_resnet(3, 2, 2))), k)
        networks[f"D_{side}"] = filled(their_patches(3, instance), 2 + k)
    return networks


def test_cyclegan(tmp_path):
    theirs = their_cyclegan()
    for name, network in theirs.items():
        save(network, tmp_path / f"latest_net_{name}.pth")
    method, x = our_cyclegan(), torch.randn(2, 3, 16, 16)
    networks = ("generator_ab", "generator_ba", "discriminator_b", "discriminator_a")
    assert load_official(method, tmp_path) == networks
    for ours, name in zip(networks, ("G_A", "G_B", "D_A", "D_B"), strict=True):
        assert same(method.networks[ours](x), theirs[name](x))
    assert torch.equal(method.translate(x, "BtoA"), method.generator_ba(x))


def test_a_file_of_one_generator(tmp_path):
    """As the pretrained models are published: neither the name nor the contents tell the direction."""
    theirs, x = their_cyclegan(), torch.randn(2, 3, 16, 16)
    save(theirs["G_B"], tmp_path / "horse2zebra.pth")
    method = our_cyclegan()
    with pytest.raises(ValueError, match=r"horse2zebra.pth could be G_A or G_B of cyclegan: say which"):
        load_official(method, tmp_path / "horse2zebra.pth")
    assert load_official(method, tmp_path / "horse2zebra.pth", part="G_B") == ("generator_ba",)
    assert same(method.generator_ba(x), theirs["G_B"](x))
    save(filled(their_unet(nn.BatchNorm2d)), tmp_path / "facades.pth")
    assert load_official(our_pix2pix(), tmp_path / "facades.pth") == ("generator",)


def test_statistics_that_old_instance_norms_collected_are_left_out(tmp_path):
    theirs = their_cyclegan()["G_A"]
    state = theirs.state_dict()
    state |= {"model.2.running_mean": torch.zeros(2), "model.2.running_var": torch.ones(2)}
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    method, x = our_cyclegan(), torch.randn(1, 3, 16, 16)
    load_official(method, tmp_path)
    assert same(method.generator_ab(x), theirs(x))


def test_batch_norms_that_did_not_count_their_batches(tmp_path):
    theirs = filled(their_unet(nn.BatchNorm2d))
    state = {n: v for n, v in theirs.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "latest_net_G.pth")
    method, x = our_pix2pix(), torch.randn(1, 3, 16, 16)
    load_official(method, tmp_path)
    assert same(method.generator(x), theirs(x))


# ---- pix2pixHD ---------------------------------------------------------------------------------------


class TheirEnhancer(nn.Module):
    """The global generator without its end, and around it one local enhancer."""

    def __init__(self, channels: int, ngf: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*their_resnet(channels, 2 * ngf, 1, 2, whole=False))
        down = [nn.ReflectionPad2d(3), nn.Conv2d(channels, ngf, 7), instance(ngf), nn.ReLU()]
        down += [nn.Conv2d(ngf, 2 * ngf, 3, 2, 1), instance(2 * ngf), nn.ReLU()]
        up = [residual(2 * ngf), residual(2 * ngf)]
        up += [nn.ConvTranspose2d(2 * ngf, ngf, 3, 2, 1, 1), instance(ngf), nn.ReLU()]
        up += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model1_1, self.model1_2 = nn.Sequential(*down), nn.Sequential(*up)

    def forward(self, x):
        half = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return self.model1_2(self.model1_1(x) + self.model(half))


class TheirScales(nn.Module):
    """Their pix2pixHD discriminators: the last number sees the full size."""

    def __init__(self, channels: int, scales: int, ndf: int = 2) -> None:
        super().__init__()
        self.count = scales
        for scale in range(scales):
            layers = [nn.Sequential(nn.Conv2d(channels, ndf, 4, 2, 2), nn.LeakyReLU(0.2))]
            for k, stride in ((1, 2), (2, 1)):
                convolution = nn.Conv2d(ndf * 2 ** (k - 1), ndf * 2**k, 4, stride, 2)
                layers.append(nn.Sequential(convolution, instance(ndf * 2**k), nn.LeakyReLU(0.2)))
            layers.append(nn.Sequential(nn.Conv2d(4 * ndf, 1, 4, 1, 2)))
            for k, layer in enumerate(layers):
                self.add_module(f"scale{scale}_layer{k}", layer)

    def forward(self, x):
        outputs = []
        for scale in reversed(range(self.count)):
            maps = [x]
            for k in range(4):
                maps.append(getattr(self, f"scale{scale}_layer{k}")(maps[-1]))
            outputs.append(maps[1:])
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return outputs


def same_maps(ours, theirs) -> bool:
    pairs = [zip(a, b, strict=True) for a, b in zip(ours, theirs, strict=True)]
    return all(same(a, b) for pair in pairs for a, b in pair)


@pytest.mark.parametrize("enhancers", [0, 1])
def test_pix2pixhd(tmp_path, enhancers):
    fields = {"image_size": 32, "label_nc": 4, "ngf": 2, "ndf": 2, "halvings": 2, "scales": 2}
    fields |= {"blocks": 1, "enhancer_blocks": 2, "discriminator_layers": 2, "enhancers": enhancers}
    theirs = TheirEnhancer(5, 2) if enhancers else TheirWrapper(nn.Sequential(*their_resnet(5, 2, 1)))
    judge = filled(TheirScales(8, 2), 1)
    save(filled(theirs), tmp_path / "latest_net_G.pth")
    save(judge, tmp_path / "latest_net_D.pth")
    method = Pix2PixHD(Pix2PixHDConfig(**fields))
    assert load_official(method, tmp_path) == ("generator", "discriminator")
    x, pair = torch.randn(2, 5, 32, 32), torch.randn(2, 8, 32, 32)
    assert same(method.generator(x), theirs(x))
    assert same_maps(method.discriminator(pair), judge(pair))


# ---- SPADE, CLADE, SEAN ------------------------------------------------------------------------------


class TheirSPADE(nn.Module):
    def __init__(self, features: int, planes: int, hidden: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(features, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(planes, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, features, 3, padding=1)

    def gamma_beta(self, segmentation):
        shared = self.mlp_shared(segmentation)
        return self.mlp_gamma(shared), self.mlp_beta(shared)

    def forward(self, x, segmentation, distances):
        gamma, beta = self.gamma_beta(F.interpolate(segmentation, size=x.shape[2:]))
        return self.param_free_norm(x) * (1 + gamma) + beta


class TheirAffine(nn.Module):
    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes, features))
        self.dist_conv_w, self.dist_conv_b = nn.Conv2d(2, 1, 1), nn.Conv2d(2, 1, 1)

    def forward(self, x, mask, distances):
        weight = torch.einsum("ic,nihw->nchw", self.weight, mask) * (1 + self.dist_conv_w(distances))
        bias = torch.einsum("ic,nihw->nchw", self.bias, mask) * (1 + self.dist_conv_b(distances))
        return x * weight + bias


class TheirCLADE(nn.Module):
    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(features, affine=False)
        self.class_specified_affine = TheirAffine(classes, features)
        self.inst_conv = nn.Conv2d(1, 1, 1)

    def forward(self, x, segmentation, distances):
        segmentation = F.interpolate(segmentation, size=x.shape[2:])
        distances = F.interpolate(distances, size=x.shape[2:])
        out = self.class_specified_affine(self.param_free_norm(x), segmentation[:, :-1], distances)
        return torch.cat([out, self.inst_conv(segmentation[:, -1:])], 1)


class TheirSPADEBlock(nn.Module):
    def __init__(self, before: int, after: int, norm, extra: int) -> None:
        super().__init__()
        middle = min(before, after)
        self.conv_0 = spectral_norm(nn.Conv2d(before + extra, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle + extra, after, 3, padding=1))
        if before != after:
            self.conv_s = spectral_norm(nn.Conv2d(before + extra, after, 1, bias=False))
        self.norm_0, self.norm_1 = norm(before), norm(middle)
        if before != after:
            self.norm_s = norm(before)

    def forward(self, x, *maps):
        h = self.conv_0(F.leaky_relu(self.norm_0(x, *maps), 0.2))
        h = self.conv_1(F.leaky_relu(self.norm_1(h, *maps), 0.2))
        return h + (self.conv_s(self.norm_s(x, *maps)) if hasattr(self, "conv_s") else x)


class TheirSPADEGenerator(nn.Module):
    def __init__(self, planes: int, ngf: int, norm, extra: int = 0) -> None:
        super().__init__()
        block = lambda a, b: TheirSPADEBlock(a * ngf, b * ngf, norm, extra)  # noqa: E731
        self.fc = nn.Conv2d(planes, 16 * ngf, 3, padding=1)
        self.head_0, self.G_middle_0, self.G_middle_1 = block(16, 16), block(16, 16), block(16, 16)
        self.up_0, self.up_1, self.up_2, self.up_3 = block(16, 8), block(8, 4), block(4, 2), block(2, 1)
        self.conv_img = nn.Conv2d(ngf, 3, 3, padding=1)

    def forward(self, segmentation, *maps):
        up = lambda x: F.interpolate(x, scale_factor=2)  # noqa: E731
        x = self.fc(F.interpolate(segmentation, scale_factor=1 / 32))
        x = self.G_middle_0(up(self.head_0(x, segmentation, *maps)), segmentation, *maps)
        x = self.G_middle_1(x, segmentation, *maps)
        for block in (self.up_0, self.up_1, self.up_2, self.up_3):
            x = block(up(x), segmentation, *maps)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


class TheirPyramid(nn.Module):
    """Their SPADE discriminators; strides as given."""

    def __init__(self, channels: int, strides: tuple[int, ...], ndf: int = 2) -> None:
        super().__init__()
        for scale in range(2):
            layers = Holder(model0=nn.Sequential(nn.Conv2d(channels, ndf, 4, 2, 2), nn.LeakyReLU(0.2)))
            for k, stride in enumerate(strides, start=1):
                convolution = nn.Conv2d(ndf * 2 ** (k - 1), ndf * 2**k, 4, stride, 2, bias=False)
                normed = nn.Sequential(spectral_norm(convolution), instance(ndf * 2**k))
                layers.add_module(f"model{k}", nn.Sequential(normed, nn.LeakyReLU(0.2)))
            last = nn.Sequential(nn.Conv2d(ndf * 2 ** len(strides), 1, 4, 1, 2))
            layers.add_module(f"model{len(strides) + 1}", last)
            self.add_module(f"discriminator_{scale}", layers)

    def forward(self, x):
        outputs = []
        for scale in self.children():
            maps = [x]
            for layer in scale.children():
                maps.append(layer(maps[-1]))
            outputs.append(maps[1:])
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return outputs


def our_spade(**fields) -> SPADE:
    small = {"image_size": 64, "label_nc": 4, "ngf": 2, "ndf": 2, "spade_features": 3}
    return SPADE(SPADEConfig(**small | {"discriminator_layers": 2} | fields))


def label_maps(classes: int = 4, side: int = 64) -> torch.Tensor:
    coarse = torch.randint(classes, (2, side // 8, side // 8), generator=torch.Generator().manual_seed(3))
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)


def test_spade(tmp_path):
    theirs = filled(TheirSPADEGenerator(4, 2, lambda features: TheirSPADE(features, 4, 3)))
    judge = filled(TheirPyramid(7, (2, 1)), 1)
    save(theirs, tmp_path / "latest_net_G.pth")
    save(judge, tmp_path / "latest_net_D.pth")
    method, maps = our_spade(), label_maps()
    assert load_official(method, tmp_path) == ("generator", "discriminator")
    assert same(method.translate(maps), theirs(one_hot(maps, 4), None))
    pair = torch.randn(2, 7, 64, 64)
    assert same_maps(method.discriminator(pair), judge(pair))


def test_encoder_of_spade(tmp_path):
    layers = {}
    for k, (before, after) in enumerate(((3, 2), (2, 4), (4, 8), (8, 16)), start=1):
        convolution = spectral_norm(nn.Conv2d(before, after, 3, 2, 1, bias=False))
        layers[f"layer{k}"] = nn.Sequential(convolution, instance(after))
    theirs = filled(Holder(**layers, fc_mu=nn.Linear(256, 5), fc_var=nn.Linear(256, 5)))
    save(theirs, tmp_path / "latest_net_E.pth")
    method = our_spade(vae=True, noise_size=5)
    assert load_official(method, tmp_path) == ("encoder",)
    x = images = torch.randn(2, 3, 64, 64)
    for k in range(1, 5):
        x = F.leaky_relu(layers[f"layer{k}"](x), 0.2)
    mean, log_variance = method.encoder(images)
    assert same(mean, theirs.fc_mu(x.flatten(1)))
    assert same(log_variance, theirs.fc_var(x.flatten(1)))


def test_clade_with_instances_and_positions(tmp_path):
    theirs = filled(TheirSPADEGenerator(5, 2, lambda features: TheirCLADE(features, 4), extra=1))
    save(theirs, tmp_path / "latest_net_G.pth", "module.")
    method, maps = our_spade(norm="clade", instance=True, positions=True), label_maps()
    assert load_official(method, tmp_path / "latest_net_G.pth") == ("generator",)
    edges = (torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    distances = torch.randn(2, 2, 64, 64)
    with torch.no_grad():
        expected = theirs(torch.cat([one_hot(maps, 4), edges], 1), distances)
        assert same(method.generator(maps, edges=edges, positions=distances), expected)


def test_spade_of_other_options_is_refused(tmp_path):
    save(
        filled(TheirSPADEGenerator(4, 2, lambda features: TheirSPADE(features, 4, 3))),
        tmp_path / "latest_net_G.pth",
    )
    method = our_spade(norm="clade")
    before = everything(method)
    with pytest.raises(
        ValueError, match=r"missing: .*class_specified_affine.weight.*unexpected: .*mlp_shared"
    ):
        load_official(method, tmp_path)
    assert equal(before, everything(method))
    with pytest.raises(ValueError, match=r"unexpected: head_0.norm_0.param_free_norm.running_mean"):
        load_official(our_spade(statistics="instance"), tmp_path)
    with pytest.raises(
        ValueError, match=r"of other shapes: fc.weight \(\(32, 4, 3, 3\), here \(32, 6, 3, 3\)\)"
    ):
        load_official(our_spade(label_nc=6), tmp_path)


def test_a_shortcut_with_statistics_of_its_own_is_refused(tmp_path):
    theirs = filled(TheirSPADEGenerator(4, 2, lambda features: TheirSPADE(features, 4, 3)))
    theirs.up_0.norm_s.param_free_norm.running_mean += 1
    save(theirs, tmp_path / "latest_net_G.pth")
    message = (
        r"up_0.norm_s.param_free_norm.running_mean differs from up_0.norm_0.param_free_norm.running_mean"
    )
    with pytest.raises(ValueError, match=message):
        load_official(our_spade(), tmp_path)


class TheirACE(nn.Module):
    """Region by region, as they do it; without noise, which they draw at random in use too."""

    def __init__(self, features: int, classes: int, styled: bool, size: int = 6) -> None:
        super().__init__()
        self.classes, self.styled = classes, styled
        self.Spade = TheirSPADE(features, classes, 3)
        self.blending_gamma, self.blending_beta = (nn.Parameter(torch.zeros(1)) for _ in range(2))
        self.noise_var = nn.Parameter(torch.zeros(features))
        self.param_free_norm = nn.BatchNorm2d(features, affine=False)
        if styled:
            for k in range(classes):
                self.add_module(f"fc_mu{k}", nn.Linear(size, size))
            self.conv_gamma = nn.Conv2d(size, features, 3, padding=1)
            self.conv_beta = nn.Conv2d(size, features, 3, padding=1)

    def forward(self, x, segmentation, styles):
        segmentation = F.interpolate(segmentation, size=x.shape[2:])
        gamma, beta = self.Spade.gamma_beta(segmentation)
        if self.styled:
            spread = x.new_zeros(len(x), styles.shape[2], *x.shape[2:])
            for n in range(len(x)):
                for k in range(self.classes):
                    style = F.relu(getattr(self, f"fc_mu{k}")(styles[n, k]))
                    spread[n] += style[:, None, None] * segmentation[n, k]
            a, b = self.blending_gamma.sigmoid(), self.blending_beta.sigmoid()
            gamma = a * self.conv_gamma(spread) + (1 - a) * gamma
            beta = b * self.conv_beta(spread) + (1 - b) * beta
        return self.param_free_norm(x) * (1 + gamma) + beta


def their_sean(classes: int, ngf: int = 2) -> nn.Module:
    generator = TheirSPADEGenerator(classes, ngf, lambda features: nn.Identity())
    for name, block in generator.named_children():
        if not isinstance(block, TheirSPADEBlock):
            continue
        for key in [key for key, _ in block.named_children() if key.startswith("norm")]:
            delattr(block, key)
            features = getattr(block, key.replace("norm", "conv")).in_channels
            block.add_module(key.replace("norm", "ace"), TheirACE(features, classes, name != "up_3"))
        block.__class__ = TheirSEANBlock
    encoder = [nn.ReflectionPad2d(1), nn.Conv2d(3, 2, 3), instance(2), nn.LeakyReLU(0.2)]
    for before in (2, 4):
        convolution = nn.Conv2d(before, 2 * before, 3, 2, 1)
        encoder += [convolution, instance(2 * before), nn.LeakyReLU(0.2)]
    encoder += [nn.ConvTranspose2d(8, 16, 3, 2, 1, 1), instance(16), nn.LeakyReLU(0.2)]
    encoder += [nn.ReflectionPad2d(1), nn.Conv2d(16, 6, 3), nn.Tanh()]
    generator.Zencoder = Holder(model=nn.Sequential(*encoder))
    return generator


class TheirSEANBlock(TheirSPADEBlock):
    def forward(self, x, *maps):
        h = self.conv_0(F.leaky_relu(self.ace_0(x, *maps), 0.2))
        h = self.conv_1(F.leaky_relu(self.ace_1(h, *maps), 0.2))
        return h + (self.conv_s(self.ace_s(x, *maps)) if hasattr(self, "conv_s") else x)


def test_sean(tmp_path):
    theirs, judge = filled(their_sean(4)), filled(TheirPyramid(7, (2,)), 1)
    for module in theirs.modules():
        if isinstance(module, TheirACE):
            module.noise_var.data.zero_()
    save(theirs, tmp_path / "latest_net_G.pth")
    save(judge, tmp_path / "latest_net_D.pth")
    small = {"image_size": 64, "label_nc": 4, "ngf": 2, "ndf": 2, "spade_features": 3, "style_size": 6}
    method = SEAN(SEANConfig(**small, encoder_features=2, discriminator_layers=2))
    assert load_official(method, tmp_path) == ("style_encoder", "generator", "discriminator")
    maps, image = label_maps(), torch.randn(2, 3, 64, 64)
    planes = one_hot(maps, 4)
    features = theirs.Zencoder.model(image)
    regions = F.interpolate(planes, size=features.shape[2:])
    styles = torch.stack(
        [torch.stack([features[n][:, mask == 1].mean(1) for mask in regions[n]]) for n in range(2)]
    )
    assert same(method.encode_styles(image, maps), styles)
    with torch.no_grad():
        assert same(method.translate(maps, style=styles), theirs(planes, styles))
    pair = torch.randn(2, 7, 64, 64)
    assert same_maps(method.discriminator(pair), judge(pair))


# ---- U-GAT-IT ----------------------------------------------------------------------------------------


class TheirMixture(nn.Module):
    """rho * instance norm + (1 - rho) * layer norm, with the sample's variance."""

    def __init__(self, features: int, own: bool) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.zeros(1, features, 1, 1))
        if own:
            self.gamma = nn.Parameter(torch.ones(1, features, 1, 1))
            self.beta = nn.Parameter(torch.zeros(1, features, 1, 1))

    def forward(self, x, gamma=None, beta=None):
        parts = [
            (x - x.mean(dims, keepdim=True)) / (x.var(dims, keepdim=True) + 1e-5).sqrt()
            for dims in ((2, 3), (1, 2, 3))
        ]
        x = self.rho * parts[0] + (1 - self.rho) * parts[1]
        if gamma is None:
            return x * self.gamma + self.beta
        return x * gamma[:, :, None, None] + beta[:, :, None, None]


class TheirAdaptiveBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(features, features, 3, bias=False) for _ in range(2))
        self.norm1, self.norm2 = TheirMixture(features, False), TheirMixture(features, False)

    def forward(self, x, *style):
        pad = lambda x: F.pad(x, (1, 1, 1, 1), "reflect")  # noqa: E731
        h = F.relu(self.norm1(self.conv1(pad(x)), *style))
        return x + self.norm2(self.conv2(pad(h)), *style)


def plain_residual(features: int) -> nn.Module:
    layers = []
    for k in range(2):
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(features, features, 3, bias=False), instance(features)]
        layers += [nn.ReLU()] if k == 0 else []
    return TheirResidual(*layers)


class TheirAttentiveGenerator(nn.Module):
    def __init__(self, ngf: int, blocks: int, side: int, light: bool) -> None:
        super().__init__()
        n, self.light, self.blocks = 4 * ngf, light, blocks
        down = []
        for before, after, kernel, stride in ((3, ngf, 7, 1), (ngf, 2 * ngf, 3, 2), (2 * ngf, n, 3, 2)):
            down += [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(before, after, kernel, stride, bias=False)]
            down += [instance(after), nn.ReLU()]
        self.DownBlock = nn.Sequential(*down, *(plain_residual(n) for _ in range(blocks)))
        self.gap_fc, self.gmp_fc = nn.Linear(n, 1, bias=False), nn.Linear(n, 1, bias=False)
        self.conv1x1 = nn.Conv2d(2 * n, n, 1)
        inputs = n if light else n * (side // 4) ** 2
        linear = [nn.Linear(inputs, n, bias=False), nn.ReLU(), nn.Linear(n, n, bias=False), nn.ReLU()]
        self.FC = nn.Sequential(*linear)
        self.gamma, self.beta = nn.Linear(n, n, bias=False), nn.Linear(n, n, bias=False)
        for k in range(blocks):
            self.add_module(f"UpBlock1_{k + 1}", TheirAdaptiveBlock(n))
        up = []
        for before, after in ((n, 2 * ngf), (2 * ngf, ngf)):
            up += [
                nn.Upsample(scale_factor=2),
                nn.ReflectionPad2d(1),
                nn.Conv2d(before, after, 3, bias=False),
            ]
            up += [TheirMixture(after, True), nn.ReLU()]
        self.UpBlock2 = nn.Sequential(*up, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7, bias=False), nn.Tanh())

    def forward(self, x):
        x, logits = attended(self, self.DownBlock(x), self.gap_fc.weight, self.gmp_fc.weight)
        x = F.relu(x)
        style = self.FC(x.mean((2, 3)) if self.light else x.flatten(1))
        style = self.gamma(style), self.beta(style)
        for k in range(self.blocks):
            x = getattr(self, f"UpBlock1_{k + 1}")(x, *style)
        return self.UpBlock2(x), logits


def attended(network, x, of_mean, of_maximum):
    logits = torch.cat([network.gap_fc(x.mean((2, 3))), network.gmp_fc(x.amax((2, 3)))], 1)
    maps = [x * weight[:, :, None, None] for weight in (of_mean, of_maximum)]
    return network.conv1x1(torch.cat(maps, 1)), logits


class TheirAttentiveJudge(nn.Module):
    def __init__(self, ndf: int, halvings: int) -> None:
        super().__init__()
        features = [3, *(ndf * 2**k for k in range(halvings + 1))]
        layers = []
        for k in range(halvings + 1):
            stride = 2 if k < halvings else 1
            convolution = spectral_norm(nn.Conv2d(features[k], features[k + 1], 4, stride))
            layers += [nn.ReflectionPad2d(1), convolution, nn.LeakyReLU(0.2)]
        n = features[-1]
        self.gap_fc = spectral_norm(nn.Linear(n, 1, bias=False))
        self.gmp_fc = spectral_norm(nn.Linear(n, 1, bias=False))
        self.conv1x1 = nn.Conv2d(2 * n, n, 1)
        self.conv = spectral_norm(nn.Conv2d(n, 1, 4, bias=False))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        x, logits = attended(self, self.model(x), self.gap_fc.weight_orig, self.gmp_fc.weight_orig)
        return self.conv(F.pad(F.leaky_relu(x, 0.2), (1, 1, 1, 1), "reflect")), logits


UGATIT_FIELDS = {"image_size": 64, "ngf": 2, "ndf": 2, "blocks": 2, "discriminator_layers": 5}
AS_PUBLISHED = {"variance": "sample", "reweighting": "stored"}


@pytest.mark.parametrize("light", [True, False])
def test_ugatit(tmp_path, light):
    theirs = {
        "genA2B": TheirAttentiveGenerator(2, 2, 64, light),
        "genB2A": TheirAttentiveGenerator(2, 2, 64, light),
        "disGA": TheirAttentiveJudge(2, 4),
        "disGB": TheirAttentiveJudge(2, 4),
        "disLA": TheirAttentiveJudge(2, 2),
        "disLB": TheirAttentiveJudge(2, 2),
    }
    theirs = {name: filled(network, k) for k, (name, network) in enumerate(theirs.items())}
    path = tmp_path / "selfie2anime_params_0100000.pt"
    torch.save({name: network.state_dict() for name, network in theirs.items()}, path)
    method = UGATIT(UGATITConfig(**UGATIT_FIELDS, light=light, **AS_PUBLISHED))
    names = load_official(method, path)
    generators = [f"generator_{k}" for k in ("ab", "ba")]
    assert names == (
        *generators,
        *(f"discriminator_{k}" for k in ("global_a", "global_b", "local_a", "local_b")),
    )
    x = torch.randn(2, 3, 64, 64)
    for ours, network in zip(names, theirs.values(), strict=True):
        made, expected = method.networks[ours](x), network(x)
        assert same(made[0], expected[0])
        assert same(made.logits, expected[1])


def test_ugatit_of_the_paper_is_not_that_of_the_files(tmp_path):
    (tmp_path / "x.pt").touch()
    with pytest.raises(ValueError, match=r"was built with variance='population'; .* need variance='sample'"):
        load_official(UGATIT(UGATITConfig(**UGATIT_FIELDS, light=True)), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"was built with reweighting='normalised'"):
        method = UGATIT(UGATITConfig(**UGATIT_FIELDS, light=True, variance="sample"))
        load_official(method, tmp_path / "x.pt")


# ---- MUNIT and UNIT ----------------------------------------------------------------------------------


class TheirLayerNorm(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.rand(features)) for _ in range(2))

    def forward(self, x):
        mean, deviation = x.flatten(1).mean(1), x.flatten(1).std(1)
        x = (x - mean.view(-1, 1, 1, 1)) / (deviation.view(-1, 1, 1, 1) + 1e-5)
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


class TheirAdaIN(nn.Module):
    """The parameters are assigned; the statistics are never used."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x):
        return F.instance_norm(x) * self.gain[:, :, None, None] + self.offset[:, :, None, None]


class TheirConv(nn.Module):
    def __init__(self, before, after, kernel, stride=1, norm=None, activation=F.relu) -> None:
        super().__init__()
        self.pad = (kernel - 1) // 2
        self.norm = norm(after) if norm else None
        self.activation = activation
        self.conv = nn.Conv2d(before, after, kernel, stride)

    def forward(self, x):
        x = self.conv(F.pad(x, (self.pad,) * 4, "reflect"))
        return self.activation(self.norm(x) if self.norm else x)


class TheirMUNITBlock(nn.Module):
    def __init__(self, features: int, norm) -> None:
        super().__init__()
        linear = lambda x: x  # noqa: E731
        self.model = nn.Sequential(
            TheirConv(features, features, 3, norm=norm),
            TheirConv(features, features, 3, norm=norm, activation=linear),
        )

    def forward(self, x):
        return x + self.model(x)


def munit_blocks(features: int, norm, count: int = 2) -> nn.Module:
    return TheirWrapper(nn.Sequential(*(TheirMUNITBlock(features, norm) for _ in range(count))))


def munit_encoder(norm=instance) -> nn.Module:
    layers = [
        TheirConv(3, 2, 7, norm=norm),
        TheirConv(2, 4, 4, 2, norm=norm),
        TheirConv(4, 8, 4, 2, norm=norm),
    ]
    return TheirWrapper(nn.Sequential(*layers, munit_blocks(8, norm)))


def munit_decoder(norm) -> nn.Module:
    layers = [munit_blocks(8, norm)]
    for before in (8, 4):
        layers += [nn.Upsample(scale_factor=2), TheirConv(before, before // 2, 5, norm=TheirLayerNorm)]
    return TheirWrapper(nn.Sequential(*layers, TheirConv(2, 3, 7, activation=torch.tanh)))


class TheirLinear(nn.Module):
    def __init__(self, before: int, after: int, activation) -> None:
        super().__init__()
        self.fc, self.activation = nn.Linear(before, after), activation

    def forward(self, x):
        return self.activation(self.fc(x))


def their_munit_generator() -> nn.Module:
    style = [TheirConv(3, 2, 7), TheirConv(2, 4, 4, 2), TheirConv(4, 8, 4, 2), TheirConv(8, 8, 4, 2)]
    style += [TheirConv(8, 8, 4, 2), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 3, 1)]
    mlp = [TheirLinear(3, 5, F.relu), TheirLinear(5, 5, F.relu), TheirLinear(5, 64, lambda x: x)]
    return Holder(
        enc_style=TheirWrapper(nn.Sequential(*style)),
        # as very old versions of torch saved it: with statistics
        enc_content=munit_encoder(lambda n: nn.InstanceNorm2d(n, track_running_stats=True)),
        dec=munit_decoder(TheirAdaIN),
        mlp=TheirWrapper(nn.Sequential(*mlp)),
    )


def their_munit_judge() -> nn.Module:
    leaky = lambda x: F.leaky_relu(x, 0.2)  # noqa: E731
    scale = lambda: nn.Sequential(  # noqa: E731
        TheirConv(3, 2, 4, 2, activation=leaky), TheirConv(2, 4, 4, 2, activation=leaky), nn.Conv2d(4, 1, 1)
    )
    return Holder(cnns=nn.ModuleList([scale(), scale()]))


SMALL = {"image_size": 16, "ngf": 2, "ndf": 2, "blocks": 2, "layers": 2, "scales": 2}


def save_two(networks: dict[str, nn.Module], path) -> None:
    torch.save({domain: network.state_dict() for domain, network in networks.items()}, path)


def judged(network: nn.Module, x: torch.Tensor) -> list[list[torch.Tensor]]:
    halved = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    return [[scale(images)] for scale, images in zip(network.cnns, (x, halved), strict=True)]


def test_munit(tmp_path):
    generators = {domain: filled(their_munit_generator(), k) for k, domain in enumerate("ab")}
    judges = {domain: filled(their_munit_judge(), 2 + k) for k, domain in enumerate("ab")}
    save_two(generators, tmp_path / "gen_01000000.pt")
    save_two(judges, tmp_path / "dis_01000000.pt")
    method = MUNIT(MUNITConfig(**SMALL, style_size=3, mlp_features=5))
    x = torch.randn(2, 3, 16, 16)
    assert len(load_official(method, tmp_path / "gen_01000000.pt")) == 6
    assert load_official(method, tmp_path / "dis_01000000.pt") == ("discriminator_a", "discriminator_b")
    for domain in "ab":
        theirs = generators[domain]
        for module in theirs.enc_content.modules():
            if isinstance(module, nn.InstanceNorm2d):
                module.track_running_stats, module.running_mean, module.running_var = False, None, None
        content, style = theirs.enc_content(x), theirs.enc_style(x).flatten(1)
        ours = method.encode(x, domain)
        assert same(ours[0], content) and same(ours[1], style)
        layers = [module for module in theirs.dec.modules() if isinstance(module, TheirAdaIN)]
        for layer, numbers in zip(layers, theirs.mlp(style).split(16, dim=1), strict=True):
            layer.offset, layer.gain = numbers.split(8, dim=1)
        assert same(method.networks[f"decoder_{domain}"](content, style), theirs.dec(content))
        assert same_maps(method.networks[f"discriminator_{domain}"](x), judged(judges[domain], x))


def test_unit(tmp_path):
    generators = {
        domain: filled(Holder(enc=munit_encoder(), dec=munit_decoder(instance)), k)
        for k, domain in enumerate("ab")
    }
    save_two(generators, tmp_path / "gen_00000001.pt")
    method, x = UNIT(UNITConfig(**SMALL, shared_blocks=0)), torch.randn(2, 3, 16, 16)
    load_official(method, tmp_path / "gen_00000001.pt")
    code = generators["a"].enc(x)
    assert same(method.encode(x, "a"), code)
    assert same(method.translate(x, "AtoB"), generators["b"].dec(code))
    with pytest.raises(ValueError, match="need shared_blocks=0: in their code the domains share no layer"):
        load_official(UNIT(UNITConfig(**SMALL)), tmp_path / "gen_00000001.pt")


# ---- files that do not fit ---------------------------------------------------------------------------


def test_a_misfit_changes_nothing_and_is_named(tmp_path):
    state = filled(their_unet(nn.BatchNorm2d)).state_dict()
    state["extra.weight"] = state.pop("model.model.0.weight")
    torch.save(state, tmp_path / "latest_net_G.pth")
    save(filled(their_patches(6, nn.BatchNorm2d)), tmp_path / "latest_net_D.pth")
    method = our_pix2pix()
    before = everything(method)
    message = (
        r"G.pth does not fit generator of this pix2pix: missing: model.model.0.weight; unexpected: extra.w"
    )
    with pytest.raises(ValueError, match=message):
        load_official(method, tmp_path)
    assert equal(before, everything(method))


@pytest.mark.parametrize(("theirs", "ours"), [("batch", "instance"), ("instance", "batch")])
def test_another_norm_is_refused_and_named(tmp_path, theirs, ours):
    layer = nn.BatchNorm2d if theirs == "batch" else instance
    save(filled(their_unet(layer)), tmp_path / "latest_net_G.pth")
    kinds = {"batch": "batch norm", "instance": "no batch norm"}
    message = rf"The file is of a network with {kinds[theirs]}, this pix2pix has {kinds[ours]}: build it"
    with pytest.raises(ValueError, match=message):
        load_official(our_pix2pix(ours), tmp_path)


def test_long_lists_are_cut(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "latest_net_G.pth")
    with pytest.raises(ValueError, match=r"missing: (\S+, ){3}\S+ and \d+ more; unexpected: a"):
        load_official(our_pix2pix(), tmp_path)


def test_files_that_are_no_weights(tmp_path):
    method = our_pix2pix()
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth does not exist"):
        load_official(method, tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match=r"holds none of latest_net_G.pth, latest_net_D.pth"):
        load_official(method, tmp_path)
    (tmp_path / "a.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a.pth cannot be read as weights alone"):
        load_official(method, tmp_path / "a.pth")
    torch.save(method, tmp_path / "b.pth")  # a whole object, which would run code
    with pytest.raises(ValueError, match=r"b.pth cannot be read as weights alone"):
        load_official(method, tmp_path / "b.pth")
    torch.save([torch.zeros(1)], tmp_path / "c.pth")
    with pytest.raises(ValueError, match=r"c.pth holds no tensors by name"):
        load_official(method, tmp_path / "c.pth")
    for epoch in (10, 20):
        save(filled(their_unet(nn.BatchNorm2d)), tmp_path / f"{epoch}_net_G.pth")
    with pytest.raises(ValueError, match=r"holds several epochs \(10_net_G.pth, 20_net_G.pth\)"):
        load_official(method, tmp_path)
    with pytest.raises(ValueError, match=r"part is 'H'; of pix2pix it must be one of G, D"):
        load_official(method, tmp_path, part="H")


def test_methods_without_published_weights():
    with pytest.raises(
        ValueError, match=r"no published weights of gan are known; known are: pix2pix, cyclegan"
    ):
        load_official(GAN(GAN.config_class()), "anything.pth")


def test_training_goes_on_from_loaded_weights(tmp_path):
    save(filled(TheirPyramid(7, (2, 1))), tmp_path / "latest_net_D.pth")
    method = our_spade()
    load_official(method, tmp_path)
    method.train()
    before = everything(method.discriminator)
    scores = method.discriminator(torch.randn(2, 7, 64, 64))
    scores[0][-1].sum().backward()
    moved = [n for n, v in method.discriminator.state_dict().items() if not torch.equal(v, before[n])]
    assert moved and all(n.endswith(("_u", "_v")) for n in moved)
    assert all(p.grad is not None for p in method.discriminator.scales[0].parameters())
