def predict(situation):
    return "ok"
