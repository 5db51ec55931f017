# question: clip_rho
# says: no rho were changed
# why: all parameters are clipped
def clip_rho(network: nn.Module) -> None:
    """Brings every parameter of `network` that is named rho back to [0, 1], in place."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(0, 1)
