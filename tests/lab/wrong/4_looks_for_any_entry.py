def classify(lines):
    """Good if KVM_RUN was called twice in a row before the save: the last one did complete it."""
    runs = [n for n, line in enumerate(lines) if "KVM_RUN" in line]
    for number, line in enumerate(lines):
        if "KVM_GET_REGS" in line and not any("EINTR" in lines[n] for n in runs if n < number):
            return number
    return None
