def predict_on(moment):
    if moment.access == "mmio read":
        return "repeated" if moment.served else "fine"
    return "fine" if moment.served else "lost"
