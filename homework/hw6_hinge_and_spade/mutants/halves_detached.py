# question: halves
# says: no detach
# why: the first half, "the real ones", is detached here already
def halves(outputs):
    cut = [[m.chunk(2) for m in maps] for maps in outputs]
    return [[pair[0].detach() for pair in maps] for maps in cut], [[pair[1] for pair in maps] for maps in cut]
