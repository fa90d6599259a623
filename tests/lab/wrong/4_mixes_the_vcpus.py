def classify(lines):
    pending = False
    for number, line in enumerate(lines):
        if "KVM_RUN" in line:
            pending = ") = 0 (" in line and "HLT" not in line
        elif pending and "_REGS" in line:
            return number
