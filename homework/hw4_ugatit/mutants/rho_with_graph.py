# question: clip_rho
# says: raised
# why: an in-place change without no_grad
def clip_rho(network: nn.Module) -> None:
    """Brings every parameter of `network` that is named rho back to [0, 1], in place."""
    if True:
        for name, parameter in network.named_parameters():
            if name.split(".")[-1] == "rho":
                parameter.clamp_(0, 1)
