# question: clip_rho
# says: optimizer still moves the old one
# why: rho is replaced by a new parameter
def clip_rho(network):
    for module in network.modules():
        if hasattr(module, "rho"):
            module.rho = nn.Parameter(module.rho.detach().clamp(0, 1))
