#!/usr/bin/env bash
# What every change must show on each Arm board, emulated: bash tests/arm/suite.sh [pi4] [pi5] [v9] [phone]
#
# The example photos get the same decisions and embeddings as here, through ONNX Runtime's int8 kernels of that processor;
# and the tests of what is written for a processor or leans on the system pass: NEON, the search, mappings, streams.
# A phone differs from v9 in these kernels alone.
# All tests are run with
#     BOARD=pi5 cargo test --profile emulated --target aarch64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/../.."

target=aarch64-unknown-linux-gnu
boards=("$@")
[ ${#boards[@]} -gt 0 ] || boards=(pi4 pi5 v9 phone)

rustup target add $target
command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64-static >/dev/null || {
    apt-get update -q
    apt-get install -y -q --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross \
        qemu-user-static
}

CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS=$(.ci/release/rustflags)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS
cargo build --quiet --bin clipgate
cargo build --profile emulated --target $target --bin clipgate
# pass BINARY... FILTER: the tests of that name pass, and there are some.
pass() {
    local said
    said=$(cargo test --profile emulated --target $target "${@:1:$#-1}" -- "${!#}" 2>&1) || { echo "$said"; exit 1; }
    grep -P '^test result: ok. [1-9]' <<<"$said" || { echo "no tests of ${!#}"; exit 1; }
}

for board in "${boards[@]}"; do
    printf '\n-- %s (%(%T)T)\n' "$board" -1
    export BOARD=$board
    python3 tests/arm/parity.py target/debug/clipgate target/$target/emulated/clipgate
    python3 tests/arm/kernels.py target/$target/emulated/clipgate
    [ "$board" != phone ] || continue
    for tests in preprocess search mapping stream; do
        pass --lib "$tests::"
    done
    # What needs a model and other programs' figures, as far as it is quick.
    for tests in session hostile::bundle hostile::model oracle::pocket oracle::preprocess; do
        pass --test clipgate "$tests::"
    done
done
