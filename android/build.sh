#!/usr/bin/env bash
# libclipgate_jni.so for every ABI of the Android library: bash android/build.sh [--for-devices] OUT [CARGO OPTION...]
#
# OUT/arm64-v8a, OUT/armeabi-v7a and OUT/x86_64 get a library each, checked by check.py. With cargo-ndk and an NDK
# (ANDROID_NDK_HOME) they are for devices. Without, they are linked against stand-ins for the system's libraries, which
# shows that they compile, link and take nothing from the system that it lacks: not for devices, and an error with
# --for-devices. CARGO OPTIONs are `--release` unless given.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

has_ndk() { command -v cargo-ndk >/dev/null && [ -n "${ANDROID_NDK_HOME:-}" ]; }
if [ "$1" = --for-devices ]; then
    shift
    if ! has_ndk; then
        echo "no cargo-ndk or no ANDROID_NDK_HOME: cargo install cargo-ndk, and say where an NDK is (r28 or newer)" >&2
        exit 1
    fi
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- --release
options=("$@")
cd "$root"

# Every device since Android 7, and pages of 16 KB that newer ones have.
api_level=24
page_size=16384

targets=(aarch64-linux-android armv7-linux-androideabi x86_64-linux-android)
rustup target add "${targets[@]}"

# Cargo's setting NAME of a target, from here on.
setting() {
    local variable=CARGO_TARGET_${1//-/_}_$2
    export "${variable^^}=$3"
}

# cargo-ndk reads cargo's messages itself, and copies what was made.
with_ndk() {
    for target in "${targets[@]}"; do
        setting "$target" rustflags \
            "-C link-arg=-Wl,-z,max-page-size=$page_size -C link-arg=-Wl,-soname,libclipgate_jni.so"
    done
    cargo ndk --platform $api_level "${targets[@]/#/--target=}" --output-dir "$out" \
        build --package clipgate-jni "${options[@]}"
}

# One call for all of them: while one is linked, another is compiled.
with_stand_ins() {
    for target in "${targets[@]}"; do
        local stubs=$root/build/android/stubs/$target
        sh android/stubs/make.sh "$target" "$stubs"
        setting "$target" linker rust-lld
        setting "$target" rustflags "-C linker-flavor=ld.lld -L native=$stubs -C link-arg=--no-undefined \
-C link-arg=-z -C link-arg=max-page-size=$page_size -C link-arg=-soname=libclipgate_jni.so"
    done
    cargo build --package clipgate-jni "${targets[@]/#/--target=}" "${options[@]}" \
        --message-format json-render-diagnostics | python3 -c '
import json, pathlib, shutil, sys
out = pathlib.Path(sys.argv[1])
abis = {"aarch64-linux-android": "arm64-v8a", "armv7-linux-androideabi": "armeabi-v7a", "x86_64-linux-android": "x86_64"}
for name in [name for line in sys.stdin for name in json.loads(line).get("filenames", [])]:
    if name.endswith("/libclipgate_jni.so"):
        folder = out / next(abi for target, abi in abis.items() if f"/{target}/" in name)
        folder.mkdir(exist_ok=True)
        shutil.copy(name, folder)
' "$out"
}

rm -f "$out"/*/libclipgate_jni.so
if has_ndk; then
    with_ndk
else
    echo "no cargo-ndk or no ANDROID_NDK_HOME: linking against stand-ins, for a check alone"
    with_stand_ins
fi
python3 android/check.py "$out" "${options[@]}"
