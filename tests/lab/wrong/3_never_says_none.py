def twins(offset, pops):
    at = 0
    for number, pop in enumerate(pops, start=1):
        at += pop.size
        if at == offset:
            return number, number
