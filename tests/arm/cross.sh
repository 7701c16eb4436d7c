#!/usr/bin/env bash
# cross reads cross.toml to the last key and does what it says: bash tests/arm/cross.sh
#
# Without a container engine, and without rustup, which cross would let change the toolchains: programs that only write down
# what they are asked for stand in for both. Not part of .ci/run: run it when cross.toml changes.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "tests/arm/cross.sh: $*" >&2
    exit 1
}

cross=$PWD/build/cross/bin/cross
[ -x "$cross" ] || cargo install -q cross --version 0.2.5 --locked --debug --root build/cross
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/rustup" <<'SH'
#!/bin/sh
case "$*" in
*"toolchain list"*) echo "stable-x86_64-unknown-linux-gnu (default)" ;;
*"target list"*) printf '%s (installed)\n' aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf ;;
*"component list"*) echo "rust-src (installed)" ;;
esac
SH
printf '#!/bin/sh\necho "$*" >>%s/asked\n' "$work" >"$work/docker"
chmod +x "$work/rustup" "$work/docker"
# The toolchain's own cargo and rustc, because rustup's proxies would need it.
PATH=$work:$(dirname "$(rustup which cargo)"):/usr/bin:/bin

# runs TARGET [ARGUMENT...]: the container that would build for it, and nothing to complain of.
runs() {
    local target=$1 said
    shift
    said=$(ORT_DYLIB_PATH=/there CROSS_CONTAINER_ENGINE=$work/docker CROSS_CONFIG=$PWD/cross.toml \
        CARGO_TARGET_DIR=$work/target "$cross" build "$@" 2>&1) || fail "$said"
    [ -z "$said" ] || fail "$said"
    grep -q -e "-e ORT_DYLIB_PATH .*--target $target" "$work/asked" || fail "nothing would be built for $target: $(cat "$work/asked")"
}

runs aarch64-unknown-linux-gnu
runs armv7-unknown-linux-gnueabihf --target armv7-unknown-linux-gnueabihf
echo "cross takes cross.toml"
