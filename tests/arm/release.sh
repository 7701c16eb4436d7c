#!/usr/bin/env bash
# The release files in target/dist hold what they must, and answer where nothing else of clipgate is:
#     bash tests/arm/release.sh [--install]
#
# The arm64 files are unpacked and run as on a Raspberry Pi 4, emulated; the amd64 ones as they are. --install also installs
# the amd64 package with apt, runs it and removes it again: for machines that are thrown away.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

fail() {
    echo "tests/arm/release.sh: $*" >&2
    exit 1
}

(cd target/dist && sha256sum --check --strict --quiet SHA256SUMS)
# SHA256SUMS names every file beside it.
[ "$(cut -c 67- target/dist/SHA256SUMS; echo SHA256SUMS)" = "$(cd target/dist && LC_ALL=C ls | grep -v SHA256SUMS; echo SHA256SUMS)" ] ||
    fail "SHA256SUMS leaves a file out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The command finds its library by its own place alone.
unset ORT_DYLIB_PATH
export HOME=$work/home XDG_CACHE_HOME=$work/cache BOARD=pi4

# has FILE TEXT, in a file of the package that is looked into.
has() {
    grep -qie "$2" "$1" || fail "$package: $1 does not hold '$2'"
}

# A package's fields, and every file that a user or a lawyer looks for.
look_into() {
    local package=$1 architecture=$2 folder=$3 command
    [ "$(dpkg-deb -f "$package" Package Architecture Depends)" = "Package: clipgate
Architecture: $architecture
Depends: libc6 (>= 2.28), libgcc-s1 | libgcc1, libstdc++6 (>= 6)" ] || fail "$package: $(dpkg-deb -f "$package")"
    [ "$(readlink "$folder/usr/bin/clipgate")" = ../lib/clipgate/clipgate ] || fail "$package: usr/bin/clipgate"
    (
        cd "$folder/usr/share"
        # These and no others: hidden commands have none.
        manuals=$(printf 'clipgate%s.1.gz\n' '' -{bench,calibrate,classify,compile,doctor,embed,evaluate,inspect,labels,labels-build,labels-convert,preprocess,verify,watch} | sort)
        [ "$(find man/man1 -type f -printf '%f\n' | sort)" = "$manuals" ] || fail "$package: manuals: $(ls man/man1)"
        gzip --test man/man1/*
        zcat man/man1/* >"$work/manuals"
        has "$work/manuals" 'classify.* <IMAGE>\.\.\.'
        bash -n bash-completion/completions/clipgate
        has fish/vendor_completions.d/clipgate.fish classify
        has zsh/vendor-completions/_clipgate classify
        # 1: none holds it. Another status is grep's own failure.
        held=0
        grep -rqE 'probe.{1,2}provider|clipgate.{1,2}pages' bash-completion fish zsh "$work/manuals" || held=$?
        [ $held = 1 ] || fail "$package: pages or completions offer a hidden command"
        cd doc/clipgate
        cmp copyright "$root/.ci/release/copyright"
        has LICENSE-MIT 'MIT License'
        has LICENSE-APACHE 'Apache License'
        has licenses/rust-crates.txt '^tokenizers 0'
        has licenses/rust-crates.txt 'UNICODE, INC. LICENSE AGREEMENT'
        has licenses/rust-crates.txt 'Copyright.*WHATWG'
        has licenses/rust-std.html 'the Rust standard library'
        has licenses/libunwind.txt 'Apache License v2.0 with LLVM Exceptions'
        has licenses/onnxruntime.txt Microsoft
        has licenses/onnxruntime-third-party.txt eigen
        cmp pocket/LICENSE "$root/models/pocket/LICENSE"
        cmp pocket/README.md "$root/models/pocket/README.md"
        diff -r --exclude '*.png' src/docs "$root/src/docs"
        python3 -c '
import json
bom = json.load(open("components.cdx.json"))
names = {component["name"] for component in bom["components"]}
assert {"onnxruntime", "pocket", "ort", "tokenizers", "std", "libunwind"} <= names and bom["specVersion"] == "1.5", names'
    )
}

# From another folder, what becomes of a photo, and the library that is loaded: the one beside the command.
answers() {
    local command=${!#} answer looked beside
    answer=$(cd / && "$@" classify "$photo")
    [[ $answer == *'espresso (99 %)'* ]] || fail "$* says: $answer"
    looked=$(cd / && "$@" doctor --format json) || [ $? = 1 ]
    beside=$(dirname "$(realpath "$command")")/libonnxruntime.so
    python3 -c '
import json, sys
findings = json.loads(sys.argv[1])["findings"]
paths = [finding["values"]["path"] for finding in findings if finding["check"] == "onnxruntime"]
sys.exit(paths != [sys.argv[2]])' "$looked" "$beside" || fail "$* does not load $beside: $looked"
}

for pair in x86_64:amd64 aarch64:arm64; do
    processor=${pair%:*} architecture=${pair#*:}
    package=$(echo target/dist/clipgate_*_"$architecture".deb)
    archive=$(echo target/dist/clipgate-*-"$processor"-linux.tar.gz)
    mkdir "$work/$architecture" "$work/$processor"
    dpkg-deb -x "$package" "$work/$architecture"
    tar -xzf "$archive" -C "$work/$processor" --strip-components 1
    look_into "$package" "$architecture" "$work/$architecture"
    cmp "$work/$architecture/usr/lib/clipgate/clipgate" "$work/$processor/clipgate"
    cmp "$work/$architecture/usr/lib/clipgate/libonnxruntime.so" "$work/$processor/libonnxruntime.so"
    cmp "$work/$architecture/usr/share/doc/clipgate/components.cdx.json" "$work/$processor/components.cdx.json"
    diff -r --exclude '*.png' src/docs "$work/$processor/src/docs"
done

photo=$root/examples/photos/coffee.jpg
for command in "$work/x86_64/clipgate" "$work/amd64/usr/bin/clipgate"; do
    answers "$command"
done
for command in "$work/aarch64/clipgate" "$work/arm64/usr/bin/clipgate"; do
    answers "$root/tests/arm/run" "$command"
done
python3 tests/arm/parity.py "$work/amd64/usr/bin/clipgate" "$work/arm64/usr/bin/clipgate"

if [ "${1:-}" = --install ]; then
    ! dpkg -s clipgate >/dev/null 2>&1 || fail "a package clipgate is installed here already: not touching it"
    apt-get install -y -qq ./target/dist/clipgate_*_amd64.deb
    answers /usr/bin/clipgate
    apt-get remove -y -qq clipgate
    [ ! -e /usr/bin/clipgate ] && [ ! -e /usr/lib/clipgate ] || fail "something is left of the package"
fi
echo "the release files hold what they must and answer"
