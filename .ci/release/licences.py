"""Prints the licence texts of all Rust crates that cargo-cyclonedx listed: each crate's own files, every text once.

licences.py BOM        with the crates' sources as `cargo metadata` finds them, and what lies in folders of theirs

That every crate may be used is cargo-deny's to say (.cargo/deny.toml); this is what their licences ask to be handed on.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# Of the file itself (LICENSE-MIT), or of the one that it is for (entities.json-LICENSE).
NAMES = re.compile(r"(licen[cs]e|unlicense|copying|copyright|notice|authors)|.*-licen[cs]e$", re.IGNORECASE)
# Folders of what is not built.
LEFT_OUT = {"tests", "benches", "examples", "target"}
RULE = "=" * 80


def packages():
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {(package["name"], package["version"]): package for package in metadata["packages"]}


def texts(package):
    folder = Path(package["manifest_path"]).parent
    inside = (path for path in folder.rglob("*") if not LEFT_OUT.intersection(path.relative_to(folder).parts))
    files = {path for path in inside if path.is_file() and NAMES.match(path.name) and path.suffix != ".rs"}
    if package["license_file"]:
        files.add(folder / package["license_file"])
    # White space at the ends of lines keeps apart what is the same text.
    read = (path.read_text(encoding="utf-8", errors="replace") for path in sorted(files))
    return ["\n".join(line.rstrip() for line in text.strip().splitlines()) for text in read]


def main():
    bom = json.loads(Path(sys.argv[1]).read_text())
    found = packages()
    crates = defaultdict(list)
    without = []
    for component in bom["components"]:
        package = found[component["name"], component["version"]]
        line = f"{package['name']} {package['version']} ({package['license']})"
        own = texts(package)
        for text in own:
            crates[text].append(line)
        if not own:
            origin = [*package["authors"], package["repository"]]
            without.append(", ".join([line, *filter(None, origin)]))

    print("The Rust crates that clipgate is built from, and the licence texts that they carry.")
    for text, lines in sorted(crates.items(), key=lambda item: (-len(item[1]), item[1])):
        print("", RULE, *lines, "", text, sep="\n")
    if without:
        print("", RULE, "These carry no text. MIT's and Apache-2.0's stand above; CC0-1.0 asks for none.", sep="\n")
        print(*without, sep="\n")


main()
