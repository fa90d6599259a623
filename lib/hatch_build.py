"""What a wheel and a source archive say of where they come from.

Two hooks of hatchling. One writes `kvmexit/built.json`, with the commit, for `kvmexit --version`.
The other gives the package its links, out of the one place where the addresses of the book and of
its repository are stated, `_config.yml`. A source archive carries both with it.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

HERE = Path(__file__).resolve().parent
BUILT = HERE / "kvmexit" / "built.json"
CONFIG = HERE.parent / "_config.yml"
ADDRESSES = {
    "book": r"^  baseurl: *\"([^\"]*)\"",
    "repository": r"^ *repository_url: *\"([^\"]*)\"",
}


def facts() -> dict[str, str]:
    """``commit``, ``book`` and ``repository``; a thing that is not known is empty."""
    if BUILT.exists():  # in an unpacked source archive
        return json.loads(BUILT.read_text())
    config = CONFIG.read_text() if CONFIG.exists() else ""
    found = {name: re.search(line, config, re.M) for name, line in ADDRESSES.items()}
    return {
        "commit": commit(),
        **{name: match[1] if match else "" for name, match in found.items()},
    }


def commit() -> str:
    """The commit of this tree, and whether anything in it was changed."""
    try:
        command = ["git", "describe", "--always", "--abbrev=12", "--dirty=, changed", "--exclude=*"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


class CustomMetadataHook(MetadataHookInterface):
    """The links of the package."""

    def update(self, metadata: dict) -> None:
        """Called by hatchling."""
        known = facts()
        links = {"Book": known["book"], "Source": known["repository"]}
        if known["repository"]:
            links["Issues"] = f"{known['repository']}/issues"
            links["Changelog"] = f"{known['repository']}/blob/HEAD/CHANGELOG.md"
        metadata["urls"] = {name: address for name, address in links.items() if address}


class CustomBuildHook(BuildHookInterface):
    """`kvmexit/built.json`, in the archive and not in the tree."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called by hatchling; an editable install asks git each time."""
        if version == "editable" or BUILT.exists():
            return
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(facts(), file)
        Path(file.name).chmod(0o644)
        build_data["force_include"][file.name] = "kvmexit/built.json"
