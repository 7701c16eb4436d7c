#!/usr/bin/env bash
# Makes the object code of x86_64-linux-android one that a glibc process can load: bash tests/android/bionic.sh LIBRARY OUT
#
# The code stays as it is. A few names of what it imports are changed, so that bionic.c's functions are found and not
# glibc's of the same name, and beside it lie libraries under the names that it asks for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library=$1 out=$2
mkdir -p "$out"

python3 - "$library" "$out/libclipgate_jni.so" <<'PYTHON'
import sys

source, target = sys.argv[1:]
with open(source, "rb") as file:
    code = file.read()
for name in (b"realpath", b"sched_getaffinity", b"sigaction", b"sigemptyset", b"strerror_r", b"sysconf"):
    # In the table of what is imported, and in that for debuggers.
    code = code.replace(b"\0" + name + b"\0", b"\0b" + name[1:] + b"\0")
with open(target, "wb") as file:
    file.write(code)
PYTHON
cc -shared -fPIC -Wall -Werror -o "$out/libc.so" "$here/bionic.c" -Wl,-soname,libc.so
for name in m dl; do
    cc -shared -o "$out/lib$name.so" -x c /dev/null -Wl,-soname,lib$name.so -Wl,--no-as-needed -l$name
done
cc -shared -o "$out/liblog.so" -x c /dev/null -Wl,-soname,liblog.so
cc -shared -o "$out/libunwind.so" -x c /dev/null -Wl,-soname,libunwind.so -Wl,--no-as-needed -lgcc_s
