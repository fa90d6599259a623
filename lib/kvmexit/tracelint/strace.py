"""strace: one line a call, with ``-f``, any time stamp, ``-y``, and ``-e kvm=vcpu``.

``1234 18:45:39.77 ioctl(5<anon_inode:kvm-vcpu:0>, KVM_RUN, 0) = 0 (KVM_EXIT_MMIO)``

Without ``-e kvm=vcpu`` the exit reason is missing. Direction and address are always missing.
A call that another thread's line interrupts is split: ``<unfinished ...>``, ``resumed>``.

Most lines of a long log are the same KVM_RUN again: what follows ``ioctl`` is parsed once
and looked up from then on. So is the shape of what stands before it: where the time begins and
where it ends. A time that is not smaller than the last one needs no more than that comparison.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from kvmexit.tracelint import doubts
from kvmexit.tracelint.events import Event, Kind
from kvmexit.tracelint.identity import Descriptors, Vcpu
from kvmexit.tracelint.ioctls import ARM_ONLY, KVM_RUN, OF_BOTH, ROLES, STATE, Role
from kvmexit.tracelint.rule import NOT_MADE
from kvmexit.tracelint.strace_hot import BEGINS, COLD, DULL, ENDS, RUN, TOUCH, heat, touches
from kvmexit.tracelint.strace_line import (
    FOREIGN,
    MARK,
    NOTABLE,
    OTHER,
    Call,
    Head,
    head_of,
    is_call,
    is_foreign,
    is_suspect,
    may_be_entry,
    parse,
    seconds,
    went_back,
)
from kvmexit.tracelint.strace_rest import Rest

_CACHED = 4096
_SHAPELESS: tuple[int, int, dict[bytes, int]] = (0, 0, {})
_NOTHING = Call(-1, "", None, None)


_Open = tuple[Call, Vcpu | None, int, bytes]
"""A call that was begun, the vCPU that it runs, the number of its line, and the line."""


class Strace:
    """Turns lines of a strace log into events."""

    shows_ioctls = True
    classes = None

    def __init__(self) -> None:
        self.repeated = 0
        self.machine = ""
        self._fds = Descriptors()
        self._cache: dict[bytes, Call] = {}
        self._hot: dict[bytes, tuple[int, dict[int, Vcpu], Call, dict[bytes, Vcpu]]] = {}
        self._held: dict[Vcpu | None, int] = {}  # the line of the last one, 0: it was told
        self._batch: tuple[list[bytes], int] = [], 1
        self._open: dict[int, _Open] = {}
        self._touching = 0  # state ioctls that have begun: then every KVM_RUN is told
        self._seen: set[int] = set()
        # length of what stands before a call: where its time is, and who stands before that
        self._shapes: dict[int, tuple[int, int, dict[bytes, int]]] = {}
        self._time = b""
        self._disorder = False
        self._rest = Rest(self._fds)

    @property
    def single(self) -> bool:
        """Whether no line has a thread's number, as in the files of ``strace -ff``."""
        return self._seen <= {0}

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]:
        """Events of ``lines``, numbered from ``first``; not ``whole``: the last one is cut.

        Of KVM_RUNs that returned 0 one after the other, only the first and the last before
        something else happens are told: what lies between changes nothing.
        """
        hot, held, unfinished = self._hot, self._held, self._open
        shapes, latest, touching = self._shapes, self._time, self._touching
        self._batch = lines, first
        last = -1 if whole else first + len(lines) - 1
        repeated, at = 0, -1
        begin, end, tokens = _SHAPELESS
        for number, line in enumerate(lines, first):
            if not unfinished:
                # most often: the KVM_RUN of before, and what stands before it has the same length
                known = hot.get(line[at:])
                if known is not None:
                    time = line[begin:end]
                    if time >= latest:
                        same = known[3].get(line[:begin])
                        if same in held:
                            held[same] = number
                            latest = time
                            repeated += 1
                            continue
            start = line.find(b"ioctl")
            thread = None
            if start >= 0:
                known = hot.get(line[start:])
                if start != at and start in shapes:
                    at = start
                    begin, end, tokens = shapes[start]
                if start == at:
                    time = line[begin:end]
                    if time >= latest:
                        who = line[:begin]
                        thread = tokens.get(who)
                if thread is None:
                    pass
                elif known is not None:
                    latest = time
                    what, owners, call, direct = known
                    if what == DULL:
                        if thread not in unfinished:
                            continue  # an ioctl of KVM's that the rule does not care about
                    elif not touching:
                        if what == ENDS:
                            begun = unfinished.pop(thread, None)
                            vcpu = begun[1] if begun else None
                            if begun and not vcpu:
                                unfinished[thread] = begun
                        elif unfinished and thread in unfinished:
                            vcpu = None
                        else:
                            vcpu = owners.get(thread) or self._whose(thread, owners, call)
                        if vcpu is None:
                            pass  # an end whose beginning is not in the log, or a doubled one
                        elif what == BEGINS:
                            unfinished[thread] = (call, vcpu, number, line)
                            if vcpu not in held:
                                yield Event(Kind.ENTRY, number, line, vcpu, thread)
                            continue
                        elif what == TOUCH:
                            if held:
                                yield from self._flush()
                            kind = Kind.GET if ROLES[call.name] is Role.GET else Kind.SET
                            yield Event(kind, number, line, vcpu, thread, call.name, call.result)
                            continue
                        elif vcpu in held:
                            held[vcpu] = number
                            repeated += 1
                            if what == RUN:
                                direct[who] = vcpu
                            continue
                        else:
                            held[vcpu] = 0
                            yield _returned(number, line, vcpu, thread, call)
                            continue
                elif b"KVM_" not in line and is_foreign(line, start) and thread not in unfinished:
                    continue
            elif b"KVM_" not in line and b"(" in line and not NOTABLE.search(line):
                continue
            if held:
                yield from self._flush()
            self._time = latest
            yield from self._line(number, line, start, thread, number == last)
            latest, touching, at = self._time, self._touching, -1
        self._time = latest
        self.repeated += repeated
        if held:
            yield from self._flush()

    def _whose(self, thread: int, owners: dict[int, Vcpu], call: Call) -> Vcpu:
        """The vCPU of ``thread`` that this call is about, remembered from now on."""
        find = self._fds.run if call.name == KVM_RUN else self._fds.find
        vcpu = owners[thread] = find(thread, call.fd)
        return vcpu

    def _flush(self) -> Iterator[Event]:
        """Tell the last of the KVM_RUNs that were held back, in the order of the log."""
        lines, first = self._batch
        last = sorted((number, vcpu) for vcpu, number in self._held.items() if number and vcpu)
        for number, vcpu in last:
            line = lines[number - first]
            start = line.find(b"ioctl")
            head = head_of(line[:start])
            yield _returned(
                number, line, vcpu, head.thread if head else 0, self._hot[line[start:]][2]
            )
        self.repeated -= len(last)
        for thread, (call, whose, number, line) in self._open.items():
            if whose in self._held and call.name == KVM_RUN:
                yield Event(Kind.ENTRY, number, line, whose, thread)
        self._held.clear()

    # ------------------------------------------------------------------ one line

    def _line(
        self, number: int, line: bytes, start: int, thread: int | None, cut: bool
    ) -> Iterator[Event]:
        """One line; ``thread`` if what stands before its call, at ``start``, is known and fits."""
        if line[:1] == b"#":
            if b" cut" in line:
                self._open.clear()
                self._seen.clear()
                self._touching = 0
                yield Event(Kind.CUT, number, line)
            elif is_call(line.lstrip(b"# \t")):  # one that somebody made a comment of
                yield Event(Kind.LOST, number, line)
            return
        call = self._parse(line[start:]) if start >= 0 else None
        if call or (start >= 0 and FOREIGN.match(line, start)):
            if thread is None:
                head = head_of(line[:start])
                if head:
                    thread = head.thread
                    yield from self._ordered(number, line, head)
                    self._learn(line, start, head)
            else:
                begin, end, _ = self._shapes[start]
                self._time = line[begin:end]
            if thread is not None:
                self._seen.add(thread)
                if call:
                    yield from self._call(number, line, thread, call)
                elif line.endswith(b"<unfinished ...>"):
                    self._begin(thread, (_NOTHING, None, number, line))
                return
        if MARK.search(line):  # kvm=vcpu+ adds lines of its own: VCPU
            yield from self._mark(number, line)
            return
        known = yield from self._other(number, line)
        if not known and not (cut and may_be_entry(line)) and is_suspect(line):
            yield Event(Kind.LOST, number, line)

    def _ordered(self, number: int, line: bytes, head: Head) -> Iterator[Event]:
        """A call of KVM's comes here: say so if it cannot come behind the one before."""
        doubt = None
        if head.time and went_back(self._time.strip() or head.time, head.time):
            doubt = doubts.disorder("strace")
        elif self._rest.over and head.thread == 0 and self._seen <= {0}:
            doubt = doubts.JOINED
        if doubt and not self._disorder:
            self._disorder = True
            yield Event(Kind.DISORDER, number, line, doubt=doubt)

    def _learn(self, line: bytes, start: int, head: Head) -> None:
        """Remember the shape of what stands before the call."""
        if head.time and seconds(head.time) is None:
            self._shapes.pop(start, None)  # -r: never smaller, and of any length
            return
        begin, end, tokens = self._shapes.get(start, (head.begin, head.end, {}))
        if (begin, end) != (head.begin, head.end):
            tokens = {}
        self._shapes[start] = (head.begin, head.end, tokens)
        tokens[line[: head.begin]] = head.thread
        if head.time:
            self._time = line[head.begin : head.end]

    def _mark(self, number: int, line: bytes) -> Iterator[Event]:
        """The end of a thread, a signal, a stack."""
        if b" exited with " in line or b" killed by " in line:
            head = head_of(line[: line.find(b"+++")])
            thread = head.thread if head else 0
            if self._open.pop(thread, None):
                self._touching = sum(1 for one in self._open.values() if touches(one[0]))
            self._shapes.clear()  # the next line is looked at whole
            for vcpu in self._rest.exited(thread):
                yield self._closed(number, line, vcpu, thread)

    def _other(self, number: int, line: bytes) -> Generator[Event, None, bool]:
        """Another system call, whole; the generator's value says whether it is one."""
        match = OTHER.search(line)
        head = head_of(line[: match.start()]) if match else None
        if not match or not head:
            return False
        if old := self._rest.call(head.thread, line[match.start() :]):
            yield self._closed(number, line, old, head.thread)
        return True

    def _parse(self, tail: bytes) -> Call | None:
        """The call in ``tail``; ``None`` if it is no ioctl of KVM's, or garbled."""
        if tail in self._cache:
            return self._cache[tail]
        call = parse(tail)
        if call is None:
            return None
        if len(self._cache) < _CACHED and len(tail) < 80:
            self._cache[tail] = call
            what = heat(call)
            if what != COLD:
                self._hot[tail] = (what, {}, call, {})
        return call

    def _call(self, number: int, line: bytes, thread: int, call: Call) -> Iterator[Event]:
        if call.resumed:
            yield from self._resumed(number, line, thread, call)
            return
        if thread in self._open:  # its end is not in the log
            yield from self._resumed(number, line, thread, _NOTHING)
        if call.name in ARM_ONLY:
            self.machine = "arm64"
        if not call.begun:
            yield from self._done(number, line, thread, call, call.made)
            return
        role = ROLES.get(call.name)
        vcpu = self._fds.run(thread, call.fd) if role is Role.RUN else None
        if vcpu:
            self._begin(thread, (call, vcpu, number, line))
            yield Event(Kind.ENTRY, number, line, vcpu, thread)
            return
        if touches(call) and self._is_touch(thread, call):
            vcpu = self._fds.find(thread, call.fd)
            yield Event(Kind.BEGUN, number, line, vcpu, thread, call.name)
        self._begin(thread, (call, vcpu, number, line))

    def _begin(self, thread: int, what: _Open) -> None:
        self._open[thread] = what
        self._touching += touches(what[0])

    def _resumed(self, number: int, line: bytes, thread: int, end: Call) -> Iterator[Event]:
        begun = self._open.pop(thread, None)
        if begun is None:
            if thread in self._seen:
                yield Event(Kind.LOST, number, line)
            return
        call, vcpu, _, _ = begun
        self._touching -= touches(call)
        if call.name == KVM_RUN and vcpu:
            yield _returned(number, line, vcpu, thread, end)
        else:
            yield from self._ended_call(begun, thread, end)

    def _ended_call(self, begun: _Open, thread: int, end: Call) -> Iterator[Event]:
        call, vcpu, number, line = begun
        call = call._replace(result=end.result, reason=end.reason)
        result = end.result if end.made else NOT_MADE
        if vcpu:
            kind = Kind.GET if ROLES[call.name] is Role.GET else Kind.SET
            yield Event(kind, number, line, vcpu, thread, call.name, result)
        elif not touches(call):
            yield from self._done(number, line, thread, call, end.made)

    def _done(
        self, number: int, line: bytes, thread: int, call: Call, made: bool
    ) -> Iterator[Event]:
        fd, name, result = call.fd, call.name, call.result
        role = ROLES.get(name)
        if role is Role.RUN:
            yield _returned(number, line, self._fds.run(thread, fd), thread, call)
        elif not made:
            return
        elif role in STATE:
            if self._is_touch(thread, call):
                kind = Kind.GET if role is Role.GET else Kind.SET
                yield Event(kind, number, line, self._fds.find(thread, fd), thread, name, result)
        elif role is Role.VM_GET:
            yield Event(Kind.VM_GET, number, line, None, thread, name, result, vm=fd)
        elif result is None or result < 0:
            return
        elif role is Role.SYSTEM:
            yield from self._is_system(number, line, thread, fd)
        elif role is Role.CREATE_VCPU:
            self._forget_owners()
            vcpu, old = self._fds.create(thread, result, fd)
            yield from self._is_system(number, line, thread, fd)  # a VM is no vCPU
            if old:
                yield self._closed(number, line, old, thread)
            yield Event(Kind.CREATED, number, line, vcpu, thread)
        elif role is Role.CREATE_VM:
            yield from self._is_system(number, line, thread, result)
            yield from self._is_system(number, line, thread, fd)

    def _is_touch(self, thread: int, call: Call) -> bool:
        """Whether this state ioctl is one of a vCPU: of a VM or /dev/kvm its number can be
        another ioctl's, or read what the host has."""
        if b"kvm-vcpu" in call.on:
            return True
        if b"/dev/kvm" in call.on or b"kvm-vm>" in call.on:
            return False
        shared = call.name == OF_BOTH or call.name.endswith("_ONE_REG")
        return not (shared and self._fds.is_system(thread, call.fd))

    def _is_system(self, number: int, line: bytes, thread: int, fd: int) -> Iterator[Event]:
        old = self._fds.system(thread, fd)
        if old:
            yield self._closed(number, line, old, thread)

    def end(self) -> Iterator[Event]:
        """A state ioctl that the log leaves unfinished was begun all the same."""
        yield from self._flush()
        for thread, begun in self._open.items():
            if begun[0].name != KVM_RUN:
                yield from self._ended_call(begun, thread, _NOTHING)

    def _closed(self, number: int, line: bytes, vcpu: Vcpu, thread: int) -> Event:
        self._forget_owners()
        return Event(Kind.CLOSED, number, line, vcpu, thread)

    def _forget_owners(self) -> None:
        """Whose a call is must be looked up again."""
        for _, owners, _, direct in self._hot.values():
            owners.clear()
            direct.clear()


def _returned(number: int, line: bytes, vcpu: Vcpu, thread: int, call: Call) -> Event:
    result = call.result if call.made else NOT_MADE
    reason = call.reason if call.made else None
    return Event(Kind.RETURN, number, line, vcpu, thread, call.exit, result, reason)
