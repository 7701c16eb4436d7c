#!/usr/bin/env bash
# libclipgate_jni.so for every ABI of the Android library: bash android/build.sh OUT [CARGO OPTION...]
#
# OUT/arm64-v8a, OUT/armeabi-v7a and OUT/x86_64 get a library each, checked by check.py. With cargo-ndk and an NDK
# (ANDROID_NDK_HOME) they are for devices. Without, they are linked against stand-ins for the system's libraries, which
# shows that they compile, link and take nothing from the system that it lacks: not for devices. CARGO OPTIONs are
# `--release` unless given.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- --release
cd "$root"

# Every device since Android 7, and pages of 16 KB that newer ones have.
api_level=24
page_size=16384

declare -A targets=(
    [arm64-v8a]=aarch64-linux-android
    [armeabi-v7a]=armv7-linux-androideabi
    [x86_64]=x86_64-linux-android
)

with_ndk() {
    export "CARGO_TARGET_${1}_RUSTFLAGS=-C link-arg=-Wl,-z,max-page-size=$page_size -C link-arg=-Wl,-soname,libclipgate_jni.so"
    cargo ndk --platform $api_level --target "$abi" build --package clipgate-jni "${options[@]}" "${@:2}"
}

with_stand_ins() {
    local stubs=$root/build/android/stubs/$target
    sh android/stubs/make.sh "$target" "$stubs"
    export "CARGO_TARGET_${1}_LINKER=rust-lld"
    export "CARGO_TARGET_${1}_RUSTFLAGS=-C linker-flavor=ld.lld -L native=$stubs -C link-arg=--no-undefined \
-C link-arg=-z -C link-arg=max-page-size=$page_size -C link-arg=-soname=libclipgate_jni.so"
    cargo build --package clipgate-jni --target "$target" "${options[@]}" "${@:2}"
}

options=("$@")
if command -v cargo-ndk >/dev/null && [ -n "${ANDROID_NDK_HOME:-}" ]; then
    link=with_ndk
else
    echo "no cargo-ndk or no ANDROID_NDK_HOME: linking against stand-ins, for a check alone"
    link=with_stand_ins
fi
rustup target add "${targets[@]}"
for abi in arm64-v8a armeabi-v7a x86_64; do
    target=${targets[$abi]}
    variable=${target//-/_}
    library=$($link "${variable^^}" --message-format json-render-diagnostics | python3 -c '
import json, sys
names = [name for line in sys.stdin for name in json.loads(line).get("filenames", [])]
print(next(name for name in reversed(names) if name.endswith("/libclipgate_jni.so")))
')
    mkdir -p "$out/$abi"
    cp "$library" "$out/$abi/"
done
python3 android/check.py "$out" "${options[@]}"
