#!/usr/bin/env bash
# A crate that depends on clipgate with its default features must build without fetching ONNX Runtime:
# python3 and pip are replaced by programs that leave a trace, and the cache directory stays empty.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/bin" "$work/app/src" "$work/cache"
for name in python3 python pip pip3; do
    printf '#!/bin/sh\necho "%s was called" >>"%s/called"\nexit 1\n' "$name" "$work" >"$work/bin/$name"
    chmod +x "$work/bin/$name"
done
cat >"$work/app/Cargo.toml" <<TOML
[package]
name = "dependent"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
clipgate = { path = "$root" }
TOML
printf 'fn main() {\n    println!("{}", clipgate::BUNDLE_SCHEMA);\n}\n' >"$work/app/src/main.rs"
cp "$root/Cargo.lock" "$work/app/Cargo.lock"

PATH="$work/bin:$PATH" XDG_CACHE_HOME="$work/cache" CARGO_TARGET_DIR="$root/target/dependent" \
    cargo check --quiet --manifest-path "$work/app/Cargo.toml"

if [ -e "$work/called" ] || [ -n "$(ls -A "$work/cache")" ]; then
    echo "a dependent's build tried to fetch ONNX Runtime:" >&2
    cat "$work/called" >&2 || true
    exit 1
fi
echo "a dependent's build fetched nothing"
