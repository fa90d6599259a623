from kvmexit.guest import COMMAND_READY, DATA_AVAIL, DATA_FIFO, INDEX, STS, VALID


class Fifo:
    """A TPM with one response: every read of DATA_FIFO takes a byte."""

    def __init__(self, response):
        self.response, self.at, self.done = response, 0, False

    def left(self):
        return 0 if self.done else max(0, len(self.response) - self.at)

    def data(self):
        byte = self.response[self.at : self.at + 1] if self.left() else b""
        self.at += 1
        return byte or b"\xff"

    def read(self, offset, size):
        if offset == DATA_FIFO:
            return self.data().ljust(size, b"\xff")
        if STS <= offset < STS + 4:
            status = VALID | (DATA_AVAIL if self.left() else 0)
            word = (self.left() << 8 | status).to_bytes(4, "little")
            return word[offset - STS :][:size].ljust(size, b"\xff")
        return b"\xff" * size

    def write(self, offset, data):
        if offset == STS and data[0] & COMMAND_READY:
            self.done = True

    def save(self):
        return self.at, self.done

    def load(self, state):
        self.at, self.done = state


class Device(Fifo):
    is_indexed = False

    def data(self):
        if not self.is_indexed:
            return super().data()
        return self.response[self.at : self.at + 1] or b"\xff"

    def write(self, offset, data):
        if offset == INDEX:
            self.is_indexed = True
            self.at = int.from_bytes(data, "little")

    def save(self):
        return self.at, self.done, self.is_indexed

    def load(self, state):
        self.at, self.done, self.is_indexed = state
