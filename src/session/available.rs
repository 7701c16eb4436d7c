//! The execution providers that a library was built with.

use std::ffi::CStr;
use std::ptr;

use crate::error::{Error, Result};

/// More providers than any build has.
const MAX_PROVIDERS: usize = 64;

/// Their names, as ONNX Runtime spells them, in its order of preference. The library must have been started.
pub(crate) fn providers() -> Result<Vec<String>> {
    let api = ort::api();
    let mut names = ptr::null_mut();
    let mut count = 0;
    #[expect(unsafe_code, reason = "`ort` asks for one name at a time only")]
    // SAFETY: the function fills both places or returns a status, by onnxruntime_c_api.h; the status is owned here and
    // released. On success `names` holds `count` pointers to NUL-terminated strings, which are copied before the list is
    // given back by the function that is there for it.
    let found = unsafe {
        let status = (api.GetAvailableProviders)(&mut names, &mut count);
        if !status.0.is_null() {
            (api.ReleaseStatus)(status.0);
            return Err(Error::machine("ONNX Runtime does not list its providers"));
        }
        let length = usize::try_from(count).unwrap_or(0).min(MAX_PROVIDERS);
        let found: Vec<String> = (0..length)
            .map(|place| *names.add(place))
            .filter(|name| !name.is_null())
            .map(|name| CStr::from_ptr(name).to_string_lossy().into_owned())
            .collect();
        let status = (api.ReleaseAvailableProviders)(names, count);
        if !status.0.is_null() {
            (api.ReleaseStatus)(status.0);
        }
        found
    };
    Ok(found)
}
