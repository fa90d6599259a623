from kvmexit.guest import COMMAND_READY, DATA_AVAIL, DATA_FIFO, STS, VALID


class Device:
    def __init__(self, response):
        self.response, self.at, self.done = response, 0, False

    def read(self, offset, size):
        left = 0 if self.done else len(self.response) - self.at
        if offset == DATA_FIFO and left:
            self.at += 1
            return self.response[self.at - 1 : self.at].ljust(size, b"\xff")
        if STS <= offset < STS + 4:
            word = (left << 8 | VALID | (DATA_AVAIL if left else 0)).to_bytes(4, "little")
            return word[offset - STS :][:size].ljust(size, b"\xff")
        return b"\xff" * size

    def write(self, offset, data):
        if offset == STS and data[0] & COMMAND_READY:
            self.done = True

    def save(self):
        return self.at, self.done

    def load(self, state):
        self.at, self.done = state
        if 0 < self.at < len(self.response):
            self.at -= 1
