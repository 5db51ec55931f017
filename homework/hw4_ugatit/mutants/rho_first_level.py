# question: clip_rho
# says: deep inside
# why: only the modules of the first level are looked at
def clip_rho(network):
    for module in network.children():
        if hasattr(module, "rho"):
            module.rho.data.clamp_(0, 1)
