# question: halves
# says: first half of the rows comes first
# why: m[::2] and m[1::2]
def halves(outputs):
    return [[m[::2] for m in maps] for maps in outputs], [[m[1::2] for m in maps] for maps in outputs]
