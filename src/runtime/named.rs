//! Where the system's loader found a library that has a name and perhaps no file.

use std::ffi::{CStr, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use libloading::Library;

use crate::error::{Error, Result};

/// Opens the library of this name. The path is one that the loader takes, but not always a file's: Android loads a library
/// where it lies inside a package, `base.apk!/lib/arm64-v8a/libonnxruntime.so`.
pub(super) fn open(name: &str) -> Result<(Library, PathBuf)> {
    if name.is_empty() || name.contains('/') {
        return Err(Error::machine(
            "is no bare name such as libonnxruntime.so: load a path as one",
        ));
    }
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    #[expect(
        unsafe_code,
        reason = "a shared library is loaded and asked where it is"
    )]
    // SAFETY: loading runs the library's initialisers, which is what the caller asked for by its name. The symbol is only
    // looked up, never called, and lies in the library, which stays open; `dladdr` fills `info` wherever it does not
    // return 0, and the name in it is a NUL-terminated string of the loader's that lives as long as the library does.
    unsafe {
        let library = Library::new(name)
            .map_err(|error| Error::machine("cannot be loaded").with_source(error))?;
        let symbol = library
            .get::<unsafe extern "system" fn()>(b"OrtGetApiBase")
            .map_err(|error| {
                Error::machine("is not ONNX Runtime: it does not export OrtGetApiBase")
                    .with_source(error)
            })?;
        if libc::dladdr(*symbol as *const c_void, info.as_mut_ptr()) == 0 {
            return Err(Error::machine("the system does not say where it lies"));
        }
        let path = CStr::from_ptr(info.assume_init().dli_fname);
        let path = PathBuf::from(OsStr::from_bytes(path.to_bytes()));
        Ok((library, path))
    }
}
