"""Packs what "Run it here" serves: Python for the browser, the library, the editor, the licences.

A page from http takes files, of which a browser keeps the compiled form. A page from a disk may
fetch nothing; it loads the same as one script, in base64.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

from kvmexit.show.vocabulary import STOP
from run_npm import HERE, MODULES
from zips import zipped

ROOT = HERE.parents[2]
PYTHON = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LIBRARY = "library.zip"
SQUEEZED = ("pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide.mjs")
"""Of the files, those that are not packed by their makers."""
KEPT_OUT = (".js", ".pyc", ".md", ".rst", ".patch", ".ipynb")


def contents() -> Iterator[tuple[str, bytes]]:
    """What lies in the archive: the library, what it needs, and what the chapters read."""
    for folder, place in (
        (ROOT / "lib/kvmexit", "lib/kvmexit"),
        (ROOT / "book/code", "book/code"),
        (ROOT / "book/logs", "book/logs"),
        (ROOT / "book/vmms", "book/vmms"),
        (ROOT / "book/reference", "book/reference"),
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in KEPT_OUT:
                yield f"{place}/{path.relative_to(folder)}", path.read_bytes()
    for name, under in (("simpy", "simpy/"), ("ipython", "IPython/lib/pretty.py")):
        for file in installed(name, under):
            yield f"lib/{file}", Path(str(distribution(name).locate_file(file))).read_bytes()
    yield "lib/IPython/__init__.py", b"version_info = (9, 0)\n"
    yield "lib/IPython/lib/__init__.py", b""
    yield "lib/run_cells.py", (HERE.parent / "run_cells.py").read_bytes()


def installed(name: str, under: str) -> list[str]:
    """The Python files of a package that lie under a path."""
    files = map(str, distribution(name).files or [])
    return sorted(one for one in files if one.startswith(under) and one.endswith(".py"))


def python() -> dict[str, bytes]:
    """All that Python needs, by name. Scripts lose the mark of a map that is not served."""
    files = {name: (MODULES / "pyodide" / name).read_bytes() for name in PYTHON}
    for name in files:
        if name.endswith(".mjs"):
            files[name] = files[name].replace(f"//# sourceMappingURL={name}.map".encode(), b"")
    return {**files, LIBRARY: zipped(contents())}


def lock() -> str:
    """What Pyodide asks of its list of packages: for what it was built. It loads none."""
    info = json.loads((MODULES / "pyodide" / "pyodide-lock.json").read_text())["info"]
    return json.dumps({"info": info, "packages": {}})


def bundled(main: str, **known: str) -> bytes:
    """A script and all that it imports, as one classic script; ``known`` are names with values."""
    defined = [f"--define:{name}={value}" for name, value in known.items()]
    done = subprocess.run(
        [
            MODULES / ".bin" / "esbuild",
            HERE / main,
            "--bundle",
            "--minify",
            "--format=iife",
            "--target=es2022",
            "--legal-comments=none",
            "--log-level=warning",
            *defined,
        ],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        check=False,
    )
    if done.returncode or done.stderr:
        raise ValueError(f"{main} cannot be bundled: {done.stderr.decode().strip()}")
    return done.stdout


def licences() -> str:
    """Who made what is served, and under which terms."""
    parts = [(HERE / "licences" / "README.txt").read_text()]
    for path in sorted(MODULES.glob("**/package.json")):
        about = json.loads(path.read_text())
        for text in path.parent.glob("LICENSE*") if about.get("name") in served() else ():
            parts.append(f"{about['name']} {about['version']}\n\n{text.read_text()}")
    for name in ("simpy", "ipython"):
        there = distribution(name)
        terms = next(str(one) for one in there.files or [] if "LICENSE" in str(one))
        text = Path(str(there.locate_file(terms)))
        parts.append(f"{name} {there.version}\n\n{text.read_text()}")
    parts += [path.read_text() for path in sorted((HERE / "licences").glob("*-*.txt"))]
    return ("\n\n" + "=" * 78 + "\n\n").join(part.strip() for part in parts) + "\n"


def served() -> set[str]:
    """The packages of npm that end up in the site: all that are not for building."""
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    return {
        place.removeprefix("node_modules/")
        for place, about in packages.items()
        if place and not about.get("dev") and "types" not in place
    }


def write(out: Path) -> None:
    """Write all of it into a folder of the site."""
    files = python()
    place = out / "python"
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    worker = bundled("worker.js")
    (out / "worker.js").write_bytes(worker)
    sizes = json.dumps({name: len(data) for name, data in files.items()})
    version = sha256(b"".join([worker, *files.values()])).hexdigest()[:12]
    known = {"VERSION": version, "LOCK": lock(), "STOP": STOP}
    page = bundled("page.js", SIZES=sizes, **{name: json.dumps(it) for name, it in known.items()})
    (out / "page.js").write_bytes(page)
    (out / "button.js").write_bytes(bundled("button.js"))
    (out / "live.css").write_bytes((HERE / "live.css").read_bytes())
    (out / "licences.txt").write_text(licences())
    (out / "python.js").write_text(f"globalThis.kvmexitPython = {as_script(files, worker)};\n")


def as_script(files: dict[str, bytes], worker: bytes) -> str:
    """The same for a page from a disk: each file in base64, the worker as text."""

    def packed(name: str, data: bytes) -> str:
        small = gzip.compress(data, 9, mtime=0) if name in SQUEEZED else data
        return b64encode(small).decode()

    given = {name: packed(name, data) for name, data in files.items()}
    return json.dumps({"files": given, "squeezed": SQUEEZED, "worker": worker.decode()})
