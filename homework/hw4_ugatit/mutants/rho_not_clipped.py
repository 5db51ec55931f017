# question: clip_rho
# says: was not clipped
# why: a clipped copy, and the network keeps the old values
def clip_rho(network: nn.Module) -> None:
    """Brings every parameter of `network` that is named rho back to [0, 1], in place."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.split(".")[-1] == "rho":
                parameter = parameter.clamp(0, 1)
