"""Bochs: Intel's virtualization extensions. It boots from a CD, and its serial line is a file.

Debian's builds have the debugger in them; it is told to continue. Errors are not logged: Bochs 2.7
logs from its timer's signal handler too, and can then wait for itself for ever. Guests that loop
with interrupts off would never be left, so none is run there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kvmexit.elsewhere.machines import Machine
from kvmexit.errors import KvmExitError

BOCHSRC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, gameport=0, \
iodebug=0
romimage: file={bios}
vgaromimage: file={vga}
memory: guest=512, host=512
cpu: model={processor}, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=utc
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{cd}", status=inserted
ata1: enabled=0
boot: cdrom
com1: enabled=1, mode=file, dev="{serial}"
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""
ISOLINUX = """\
SERIAL 0 115200
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
 KERNEL /vmlinux
 INITRD /initrd
 APPEND {line}
"""


def start_bochs(
    machine: Machine, loader: list[str], root: Path, files: dict[str, Path], work: Path
) -> tuple[list[str], dict[str, str], Path]:
    """The command, its environment, and the file that is the serial line."""
    cd, serial = work / "cd.iso", work / "serial.txt"
    _make_cd(machine, loader, root, files, cd)
    serial.write_bytes(b"")
    settings = BOCHSRC.format(
        bios=_find(root, "usr/share/bochs/BIOS-bochs-latest"),
        vga=_find(root, "usr/share/vgabios/vgabios.bin"),
        processor=machine.processor,
        cd=cd,
        serial=serial,
        log=work / "bochs.log",
    )
    (work / "bochsrc").write_text(settings)
    (work / "debugger").write_text("c\nq\n")
    program = root / "usr/bin/bochs-bin"
    plugins = next(iter(sorted(_find(root, "usr/lib").glob("*/bochs/plugins"))), None)
    if plugins is None:
        raise KvmExitError(
            "the package bochs has no plugins: remove .cache/elsewhere and try again"
        )
    argv = [*loader, str(program), "-q", "-f", str(work / "bochsrc"), "-rc", str(work / "debugger")]
    share = {"LTDL_LIBRARY_PATH": str(plugins), "BXSHARE": str(_find(root, "usr/share/bochs"))}
    return argv, share, serial


def _find(root: Path, name: str) -> Path:
    """A file of a package."""
    if (place := root / name).exists():
        return place
    raise KvmExitError(f"no {name} in the packages of Bochs: remove .cache/elsewhere and try again")


def _make_cd(
    machine: Machine, loader: list[str], root: Path, files: dict[str, Path], cd: Path
) -> None:
    folder = cd.with_suffix(".folder")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "isolinux").mkdir(parents=True)
    for name in ("usr/lib/ISOLINUX/isolinux.bin", "usr/lib/syslinux/modules/bios/ldlinux.c32"):
        shutil.copy(_find(root, name), folder / "isolinux")
    (folder / "isolinux" / "isolinux.cfg").write_text(ISOLINUX.format(line=machine.console))
    os.link(files["kernel"], folder / "vmlinux")
    os.link(files["initrd"], folder / "initrd")
    boot = "-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4"
    argv = [*loader, str(_find(root, "usr/bin/xorriso")), "-as", "mkisofs", "-quiet", "-o", str(cd)]
    argv += [*boot.split(), "-boot-info-table", "-J", "-r", str(folder)]
    result = subprocess.run(argv, capture_output=True, text=True)
    shutil.rmtree(folder)
    if result.returncode:
        raise KvmExitError(f"xorriso cannot make a CD: {result.stderr.strip().splitlines()[-1]}")
