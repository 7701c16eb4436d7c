"""Completes cargo-cyclonedx's list of Rust crates by what else a release file holds, and prints it.

components.py SOURCE COMMAND LIBRARY RUNTIME_VERSION RUST_VERSION ZIG_VERSION

SOURCE is a copy of the project with the bom.json that cargo-cyclonedx wrote there.
"""

import hashlib
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path


def sha256(path):
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def onnxruntime(library, version):
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/onnxruntime@{version}",
        "purl": f"pkg:pypi/onnxruntime@{version}",
        "publisher": "Microsoft Corporation",
        "name": "onnxruntime",
        "version": version,
        "description": "libonnxruntime.so of the wheel; what it is made of is listed in onnxruntime-third-party.txt",
        "hashes": sha256(library),
        "licenses": [{"license": {"id": "MIT"}}],
    }


def rust_std(version):
    return {
        "type": "library",
        "bom-ref": f"rust-std@{version}",
        "publisher": "The Rust Project",
        "name": "std",
        "version": version,
        "description": "Rust's standard library, in the command; what it is made of is listed in rust-std.html",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }


def libunwind(version):
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/ziglang@{version}#lib/libunwind",
        "purl": f"pkg:pypi/ziglang@{version}#lib/libunwind",
        "publisher": "The LLVM Project",
        "name": "libunwind",
        "version": f"zig {version}",
        "description": "LLVM's, as zig carries it; linked into the command",
        "licenses": [{"expression": "Apache-2.0 WITH LLVM-exception"}],
    }


def pocket(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    version = str(manifest["version"])
    return {
        "type": "machine-learning-model",
        "bom-ref": f"pocket@{version}",
        "name": "pocket",
        "version": version,
        "description": manifest["architecture"],
        "hashes": sha256(folder / "manifest.json"),
        "licenses": [{"license": {"name": manifest["licence"]}}],
        # The command embeds these files; the manifest's digest above covers theirs.
        "components": [
            {"type": "file", "bom-ref": f"pocket@{version}/{name}", "name": name, "hashes": sha256(folder / name)}
            for name in sorted(manifest["files"])
        ],
    }


def main():
    source, command, library = (Path(argument) for argument in sys.argv[1:4])
    # The copy's place is in every reference to the crate itself, and says nothing to others.
    text = (source / "bom.json").read_text().replace(source.resolve().as_uri(), "clipgate")
    bom = json.loads(text.replace("?download_url=file://.", ""))
    root = bom["metadata"]["component"]
    root["hashes"] = sha256(command)
    added = [
        onnxruntime(library, sys.argv[4]),
        pocket(source / "models" / "pocket"),
        rust_std(sys.argv[5]),
        libunwind(sys.argv[6]),
    ]
    bom["components"] += added
    references = [component["bom-ref"] for component in added]
    for entry in bom["dependencies"]:
        if entry["ref"] == root["bom-ref"]:
            entry["dependsOn"] = sorted([*entry.get("dependsOn", []), *references])
    bom["dependencies"] += [{"ref": reference} for reference in references]
    # The same command has the same list, number included.
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, root["hashes"][0]["content"]).urn
    moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    bom["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    json.dump(bom, sys.stdout, indent=1)
    print()


main()
