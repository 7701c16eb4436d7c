#!/usr/bin/env bash
# The command compiles and links for 32-bit Arm, and starts: bash tests/arm/armv7.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

target=armv7-unknown-linux-gnueabihf
rustup target add $target
command -v arm-linux-gnueabihf-gcc >/dev/null && command -v qemu-arm-static >/dev/null || {
    apt-get update -q
    apt-get install -y -q --no-install-recommends gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user-static
}
# No library is pinned for it, so that none is to be fetched.
CARGO_PROFILE_DEV_DEBUG=0 cargo build --target $target --no-default-features --features cli,embedded-model
qemu-arm-static -L /usr/arm-linux-gnueabihf target/$target/debug/clipgate --version
