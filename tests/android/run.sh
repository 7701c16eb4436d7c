#!/usr/bin/env bash
# The Android library without a device: its native half linked for three ABIs, and both halves tested on this machine's
# Java VM, with real inference: bash tests/android/run.sh
#
# The tests are JUnit 4's. Those in kotlin/ and java/ run on a device, too (android/README.md says how); those in desktop/
# need the stand-ins for android.* in stubs/, against which everything is compiled here.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$PWD/build/android
mkdir -p "$build"

# The package `kotlin-compiler` of the npm registry; the coroutines' library is in it.
kotlin_version=2.4.20
kotlin_sha256=c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f
kotlin=$build/kotlin-$kotlin_version/lib
junit=/usr/share/java/junit4.jar:/usr/share/java/hamcrest.jar

if ! command -v javac >/dev/null || ! command -v readelf >/dev/null || [ ! -e /usr/share/java/junit4.jar ]; then
    apt-get update -q
    apt-get install -y -q --no-install-recommends openjdk-17-jdk-headless junit4 binutils
fi
command -v npm >/dev/null || apt-get install -y -q --no-install-recommends npm
if [ ! -e "$kotlin" ]; then
    temporary=$(mktemp -d -p "$build")
    (cd "$temporary" && npm pack --silent kotlin-compiler@$kotlin_version)
    echo "$kotlin_sha256  $temporary/kotlin-compiler-$kotlin_version.tgz" | sha256sum --check --quiet
    tar -xzf "$temporary"/*.tgz -C "$temporary"
    mv -T "$temporary/package" "$build/kotlin-$kotlin_version"
    rm -r "$temporary"
fi

step() { printf '\n-- %s (%(%T)T)\n' "$1" -1; }

compile_kotlin() {
    java -Xmx1g -XX:+UseSerialGC -cp "$kotlin/kotlin-compiler.jar:$libraries" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler \
        -no-stdlib -no-reflect -Werror "$@"
}
libraries=$kotlin/kotlin-stdlib.jar:$kotlin/kotlinx-coroutines-core-jvm.jar

# The Android Gradle plugin brings a compiler of its own, which may be as old as this.
language="-language-version 2.2 -api-version 2.2"

step "compile the Kotlin half and its tests"
rm -rf "$build/classes"
mkdir -p "$build/classes"
javac -d "$build/classes/stubs" $(find tests/android/stubs -name '*.java')
# shellcheck disable=SC2086 # one option a word
compile_kotlin $language -jvm-target 11 -Xexplicit-api=strict -module-name clipgate \
    -classpath "$libraries:$build/classes/stubs" -d "$build/classes/main" android/clipgate/src/main/kotlin
# shellcheck disable=SC2086 # one option a word
compile_kotlin $language -jvm-target 11 -Xexplicit-api=strict -module-name camera \
    -classpath "$libraries:$build/classes/stubs:$build/classes/main" \
    -d "$build/classes/camera" android/camera/src/main/kotlin
# shellcheck disable=SC2086 # one option a word
compile_kotlin $language -jvm-target 17 -module-name clipgate_tests -Xfriend-paths="$build/classes/main" \
    -classpath "$libraries:$build/classes/stubs:$build/classes/main:$build/classes/camera:$junit" \
    -d "$build/classes/test" tests/android/kotlin tests/android/desktop
javac -d "$build/classes/test" -cp "$libraries:$build/classes/stubs:$build/classes/main:$junit" \
    $(find tests/android/java -name '*.java')

step "compile the README's Kotlin and the sample"
python3 tests/android/sources.py "$build/sources"
javac -d "$build/classes/sample" "$build/sources/R.java"
# shellcheck disable=SC2086 # one option a word
compile_kotlin $language -jvm-target 11 -module-name sample \
    -classpath "$libraries:$build/classes/stubs:$build/classes/main:$build/classes/camera:$build/classes/sample" \
    -d "$build/classes/sample" android/sample/src/main/kotlin "$build/sources/Readme.kt"

# Android 7's ByteBuffer inherits these from Buffer; ones of its own, which the compiler prefers, came later.
if javap -c -p $(find "$build"/classes/{main,camera} -name '*.class') |
    grep -E 'java/nio/ByteBuffer\.(clear|flip|limit|mark|position|reset|rewind):\(I?\)Ljava/nio/ByteBuffer;'; then
    echo "the library calls methods that Android 7 lacks: see moveTo in Wire.kt"
    exit 1
fi

step "build the native half, and what the Rust library answers"
# Everything else as the other tests have it, so that it need not be built again.
cargo build --package clipgate-jni --lib --example android_oracle --example android_panics \
    --config profile.dev.package.clipgate.opt-level=2 --config profile.dev.package.clipgate-jni.opt-level=2 \
    --config profile.dev.package.jni.opt-level=2
cargo build --bin clipgate
native=${CARGO_TARGET_DIR:-$PWD/target}/debug
mkdir -p "$build/cases"
onnxruntime=${ORT_DYLIB_PATH:-$(ls "${XDG_CACHE_HOME:-$HOME/.cache}"/clipgate/onnxruntime/*-"$(uname -m)"/libonnxruntime.so)}
"$native/examples/android_oracle" "$onnxruntime" "$build/cases" examples/photos/*.jpg
# What the command says to the example photos.
command_says() {
    "$native/clipgate" classify --format json "$@" examples/photos/*.jpg 2>/dev/null | python3 -c '
import json, pathlib, sys
for answer in map(json.loads, sys.stdin):
    print(pathlib.Path(answer["image"]).stem, answer["label"] or answer["reason"], answer["confidence"] or "", sep="\t")
'
}
command_says >"$build/cases/command.tsv"
echo "espresso,teapot,goldfish" >"$build/cases/words.txt"
command_says --labels "$(cat "$build/cases/words.txt")" >"$build/cases/words.tsv"

# Runs test classes against the native library in a directory.
java_tests() {
    local directory=$1
    shift
    java -Xms64m -Xmx64m -XX:+UseSerialGC --add-opens java.base/java.io=ALL-UNNAMED \
        -Djava.library.path="$directory" -Dclipgate.onnxruntime="$onnxruntime" -Dclipgate.pocket="$PWD/models/pocket" \
        -Dclipgate.cases="$build/cases" -Dclipgate.exact=true \
        -Dclipgate.panics="$native/examples/libandroid_panics.so" \
        -Dclipgate.rules="$PWD/android/clipgate/consumer-rules.pro" -Dclipgate.jni="$PWD/android/jni/src" \
        -cp "$libraries:$build/classes/stubs:$build/classes/main:$build/classes/camera:$build/classes/test:$junit" \
        org.junit.runner.JUnitCore "${@/#/io.clipgate.}"
}
all=$(cd tests/android && basename --multiple --suffix .kt {kotlin,desktop}/io/clipgate/*Test.kt)

step "the tests, on the desktop's build of the native half"
# shellcheck disable=SC2086 # one name a word
java_tests "$native" $all JavaUseTest

step "link for three ABIs"
# As fast as they compile: sizes are judged where --release is built.
bash android/build.sh "$build/jniLibs" --profile dev --config profile.dev.debug=false
if env --unset ANDROID_NDK_HOME bash android/build.sh --for-devices "$build/none" 2>/dev/null; then
    echo "build.sh links against stand-ins for what Gradle would ship"
    exit 1
fi

if [ "$(uname -m)" = x86_64 ]; then
    step "the tests, on the object code of x86_64-linux-android"
    bash tests/android/bionic.sh "$build/jniLibs/x86_64/libclipgate_jni.so" "$build/bionic"
    LD_LIBRARY_PATH=$build/bionic java_tests "$build/bionic" CasesTest RefusalTest AssetsTest LifecycleTest LiveTest
fi

step "the AAR"
python3 android/aar.py "$build/jniLibs" "$build/classes/main" "$build/clipgate.aar"
