# question: halves
# says: comes first
# why: the second half is returned first, as in SPADE's own order of fake and real
def halves(outputs):
    cut = [[m.chunk(2) for m in maps] for maps in outputs]
    return [[pair[1] for pair in maps] for maps in cut], [[pair[0] for pair in maps] for maps in cut]
