"""Puts the Android library together without Gradle: aar.py LIBRARIES CLASSES OUT.

LIBRARIES holds ABI/libclipgate_jni.so as build.sh made them, CLASSES the compiled Kotlin half. The same files give the
same bytes. What Gradle makes on a machine with the Android SDK has the same layout, and is what to publish.
"""

import io
import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

PACKAGE = "io.clipgate"
MIN_SDK = "24"
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
LIBRARY = "libclipgate_jni.so"
MODULE = Path(__file__).parent / "clipgate"
ANDROID = "http://schemas.android.com/apk/res/android"

# What the Android Gradle plugin asks of a library before it uses it.
METADATA = "aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=1\n"


def manifest() -> bytes:
    """The source's, with what Gradle writes into it."""
    ElementTree.register_namespace("android", ANDROID)
    root = ElementTree.parse(MODULE / "src/main/AndroidManifest.xml").getroot()
    root.set("package", PACKAGE)
    uses = ElementTree.SubElement(root, "uses-sdk")
    uses.set(f"{{{ANDROID}}}minSdkVersion", MIN_SDK)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            out.writestr(entry, files[name])
    return content.getvalue()


def library(libraries: Path, classes: Path) -> dict[str, bytes]:
    files = {path.relative_to(classes).as_posix(): path for path in classes.rglob("*") if path.is_file()}
    parts = {
        "AndroidManifest.xml": manifest(),
        "classes.jar": archive({name: path.read_bytes() for name, path in files.items()}),
        "proguard.txt": (MODULE / "consumer-rules.pro").read_bytes(),
        "R.txt": b"",
        "META-INF/com/android/build/gradle/aar-metadata.properties": METADATA.encode(),
    }
    for abi in ABIS:
        parts[f"jni/{abi}/{LIBRARY}"] = (libraries / abi / LIBRARY).read_bytes()
    return parts


def check(path: Path) -> None:
    """What a consumer relies on, read back from the file."""
    with zipfile.ZipFile(path) as aar:
        assert aar.testzip() is None
        names = set(aar.namelist())
        assert {f"jni/{abi}/{LIBRARY}" for abi in ABIS} <= names, names
        assert ElementTree.fromstring(aar.read("AndroidManifest.xml")).get("package") == PACKAGE
        assert b"class io.clipgate.Native" in aar.read("proguard.txt")
        with zipfile.ZipFile(io.BytesIO(aar.read("classes.jar"))) as classes:
            own = classes.namelist()
            assert "io/clipgate/Classifier.class" in own
            # Stand-ins of the tests, or a second copy of a dependency.
            foreign = [name for name in own if not name.startswith(("io/clipgate/", "META-INF/"))]
            assert not foreign, foreign


def main() -> None:
    libraries, classes, out = (Path(argument) for argument in sys.argv[1:])
    content = archive(library(libraries, classes))
    with tempfile.NamedTemporaryFile(dir=out.parent, delete=False) as temporary:
        # A temporary file is its owner's alone.
        os.fchmod(temporary.fileno(), 0o644)
        temporary.write(content)
        temporary.flush()
        os.fsync(temporary.fileno())
    os.replace(temporary.name, out)
    check(out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
