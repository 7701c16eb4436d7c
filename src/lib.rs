//! Classifies camera frames with CLIP on small devices, and abstains when the answer cannot be trusted.

mod error;
mod frame;

pub use error::{Error, ErrorKind, Result};
pub use frame::{Frame, MAX_EDGE, PixelFormat};
