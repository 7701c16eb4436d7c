"""Writes what is compiled beside the library, so that it stays true: sources.py OUT.

OUT/Readme.kt has the Kotlin of android/README.md, a function for each block; OUT/R.java the names of the sample's
resources, as the Android build would make them.
"""

import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ANDROID = Path(__file__).resolve().parents[2] / "android"

# A block of the app's build script, which only Gradle can judge.
BUILD_SCRIPT = "// build.gradle.kts"

# The README's dependencies that the version catalogue has, too.
CATALOGUE = {
    "com.microsoft.onnxruntime:onnxruntime-android": "onnxruntime",
    "org.jetbrains.kotlinx:kotlinx-coroutines-core": "coroutines",
    "androidx.camera:camera-camera2": "camera",
    "androidx.camera:camera-lifecycle": "camera",
    "androidx.camera:camera-view": "camera",
}

HEADER = """\
@file:Suppress("UNUSED_VARIABLE", "UNUSED_PARAMETER", "NAME_SHADOWING")

package io.clipgate.readme

import android.content.Context
import android.graphics.Bitmap
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.core.content.ContextCompat
import io.clipgate.*
import io.clipgate.camera.*
import io.clipgate.coroutines.*
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.Executors
"""

# What the README's reader has already.
GIVEN = (
    "context: Context, bitmap: Bitmap, classifier: Classifier, text: TextView, preview: Preview, "
    "provider: ProcessCameraProvider, analysis: ImageAnalysis, live: LiveClassifier, y: Plane, u: Plane, v: Plane, "
    "width: Int, height: Int, degrees: Int, timestampNanos: Long, executor: Executor"
)


def blocks() -> list[str]:
    """The README's blocks of Kotlin."""
    text = (ANDROID / "README.md").read_text()
    return re.findall(r"^```kotlin\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def readme() -> str:
    code = [block for block in blocks() if not block.startswith(BUILD_SCRIPT)]
    assert code, "no Kotlin in android/README.md"
    functions = [
        f"suspend fun ComponentActivity.block{number}({GIVEN}) {{\n{block}}}\n" for number, block in enumerate(code, 1)
    ]
    return "\n".join([HEADER, *functions])


def check_versions() -> None:
    """That an app built as the README says has the versions that the modules are built with."""
    versions = tomllib.loads((ANDROID / "gradle/libs.versions.toml").read_text())["versions"]
    told = dict(re.findall(r'implementation\("([\w.:-]+):([\d.]+)"\)', "".join(blocks())))
    assert told == {name: versions[key] for name, key in CATALOGUE.items()}, told


def resources() -> str:
    """Of the kinds that the sample has: files by their name, and what they name inside."""
    names: dict[str, set[str]] = {}
    for path in (ANDROID / "sample/src/main/res").rglob("*.xml"):
        ElementTree.parse(path)
        text = path.read_text()
        if path.parent.name == "values":
            for kind, name in re.findall(r'<(string|style) name="(\w+)"', text):
                names.setdefault(kind, set()).add(name)
        else:
            names.setdefault(path.parent.name, set()).add(path.stem)
        names.setdefault("id", set()).update(re.findall(r'"@\+id/(\w+)"', text))
        for kind, name in re.findall(r'"@(string|style)/(\w+)"', text):
            assert name in (ANDROID / "sample/src/main/res/values" / f"{kind}s.xml").read_text(), f"@{kind}/{name}"
    classes = []
    for kind, members in sorted(names.items()):
        fields = "".join(
            f"        public static final int {name} = {number};\n" for number, name in enumerate(sorted(members), 1)
        )
        classes.append(f"    public static final class {kind} {{\n{fields}    }}\n")
    return "package io.clipgate.sample;\n\npublic final class R {\n" + "\n".join(classes) + "}\n"


def main() -> None:
    check_versions()
    for manifest in ANDROID.glob("*/src/main/AndroidManifest.xml"):
        ElementTree.parse(manifest)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "Readme.kt").write_text(readme())
    (out / "R.java").write_text(resources())


if __name__ == "__main__":
    main()
