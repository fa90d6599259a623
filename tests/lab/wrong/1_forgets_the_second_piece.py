def predict(situation):
    pending = situation.phase == "served" and situation.policy in ("save-at-once", "skip-entry")
    lost = pending and situation.access == "data read"
    if situation.compensation == "rewind":
        return "ok" if lost else "duplicate"
    if not lost:
        return "ok"
    return "missing" if situation.restore == "new-vm" else "stale"
