#!/bin/sh
# Link-time stand-ins for bionic's libraries, for a check without an NDK: sh android/stubs/make.sh TARGET OUT
#
# Made with rustc and rust-lld alone. The .syms files are the allow-list of what the library may take from the system of
# API level 24: a symbol that is missing there fails the link, and is added only if the maps of symbols that the files name
# have it, without `introduced` or with 24 at most.
set -eu
target=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"

stub() {
    library=$1
    shift
    {
        echo '#![no_std]'
        echo '#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }'
        for symbol in "$@"; do
            echo "#[unsafe(no_mangle)] pub extern \"C\" fn $symbol() {}"
        done
    } >"$out/$library.rs"
    rustc --cap-lints allow --edition 2024 --target "$target" --crate-type cdylib --crate-name "${library}_stub" \
        -C panic=abort -O -C linker=rust-lld -C linker-flavor=ld.lld -C link-arg=-soname="$library.so" \
        -C link-arg=-z -C link-arg=undefs -o "$out/$library.so" "$out/$library.rs"
}

symbols() { grep -v '^#' "$here/$1.syms"; }

for library in libc libm libdl liblog; do
    # shellcheck disable=SC2046 # one symbol a line
    stub $library $(symbols $library)
done
# An NDK has it as an archive, so that its code becomes a part of the library.
case $target in
    arm*) own="_Unwind_VRS_Get _Unwind_VRS_Set __gnu_unwind_frame" ;;
    *) own= ;;
esac
# shellcheck disable=SC2046,SC2086
stub libunwind $(symbols libunwind) $own
