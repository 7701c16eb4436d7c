#!/usr/bin/env bash
# Clipgate beside what a user would pick instead, in one run: bash tests/bench/peers/run.sh [OPTION...]
# Options are those of measure.py (--help). Without --bundle, --ort and --fp32, bundles of ViT-B-32 are made, with drawn
# weights: times do not depend on what the weights say. PEERS_VENV names a Python environment to use; one is made otherwise.
set -euo pipefail
cd "$(dirname "$0")/../../.."
peers=tests/bench/peers

venv=${PEERS_VENV:-$PWD/build/peers-venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r models/export/requirements.lock
    "$venv/bin/pip" install -q --no-deps -r "$peers/requirements.txt"
fi

export CARGO_TARGET_DIR=$PWD/target/peers
build() { cargo build --release --manifest-path "$peers/Cargo.toml" "$@"; }
build -p peer-fastembed
build -p peer-clipgate
release=$CARGO_TARGET_DIR/release
rm -f "$release/peer-clipgate-turbojpeg"
if command -v cmake >/dev/null && { [ "$(uname -m)" != x86_64 ] || command -v nasm >/dev/null; }; then
    cp "$release/peer-clipgate" "$release/peer-clipgate-pure"
    build -p peer-clipgate --features turbojpeg
    mv "$release/peer-clipgate" "$release/peer-clipgate-turbojpeg"
    mv "$release/peer-clipgate-pure" "$release/peer-clipgate"
else
    echo "run.sh: feature turbojpeg is left out: it needs cmake and nasm" >&2
fi

model=()
if [[ " $*" != *" --bundle"* ]]; then
    made=$PWD/build/peers
    if [ ! -d "$made/bundle" ]; then
        "$venv/bin/python" "$peers/inputs.py" examples/photos "$made"
        # Drawn weights classify nothing, so there is no accuracy to hold the int8 graph to.
        (cd models/export && "$venv/bin/python" -m clipgate_export bundle --open-clip ViT-B-32-quickgelu \
            --random-weights --images "$made/photos" --labels "$made/labels.txt" --range-images 64 --max-drop 100 \
            --min-cosine 0.9 --min-centred-cosine 0.5 --licence none --keep-fp32 "$made/fp32" -o "$made/bundle")
    fi
    if [ ! -d "$made/ort" ]; then
        (cd models/export && "$venv/bin/python" -m clipgate_export ort-format --bundle "$made/bundle" -o "$made/ort")
    fi
    model=(--bundle "$made/bundle" --ort "$made/ort" --fp32 "$made/fp32/image_fp32.onnx")
fi
exec "$venv/bin/python" "$peers/measure.py" "${model[@]}" "$@"
