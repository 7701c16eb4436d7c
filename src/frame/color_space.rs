//! What Y, U and V mean.

/// How Y, U and V become red, green and blue; asked of YUV formats alone.
///
/// A frame does not say which it is: the camera's documentation does. The default is what most deliver.
///
/// ```
/// use clipgate::{ColorMatrix, ColorRange, ColorSpace};
///
/// assert_eq!(ColorSpace::default(), ColorSpace::BT601_LIMITED);
/// assert_eq!(ColorSpace::BT709_LIMITED.matrix, ColorMatrix::Bt709);
/// assert_eq!(ColorSpace::BT601_FULL.range, ColorRange::Full);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColorSpace {
    /// The weights of red, green and blue in Y.
    pub matrix: ColorMatrix,
    /// The values that Y, U and V take.
    pub range: ColorRange,
}

/// The weights of red, green and blue in Y.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorMatrix {
    /// ITU-R BT.601: 0.299, 0.587, 0.114. Standard definition, JPEG, and most cameras.
    Bt601,
    /// ITU-R BT.709: 0.2126, 0.7152, 0.0722. High definition video.
    Bt709,
}

/// The values that Y, U and V take.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorRange {
    /// Black is Y = 16 and white Y = 235; U and V lie 112 around 128. Values beyond are clipped.
    Limited,
    /// Black is Y = 0 and white Y = 255; U and V lie 127.5 around 128, as in JPEG.
    Full,
}

impl ColorSpace {
    /// BT.601, limited range: the default.
    pub const BT601_LIMITED: Self = Self::new(ColorMatrix::Bt601, ColorRange::Limited);
    /// BT.601, full range: JPEG's.
    pub const BT601_FULL: Self = Self::new(ColorMatrix::Bt601, ColorRange::Full);
    /// BT.709, limited range.
    pub const BT709_LIMITED: Self = Self::new(ColorMatrix::Bt709, ColorRange::Limited);
    /// BT.709, full range.
    pub const BT709_FULL: Self = Self::new(ColorMatrix::Bt709, ColorRange::Full);

    /// A matrix with a range.
    pub const fn new(matrix: ColorMatrix, range: ColorRange) -> Self {
        Self { matrix, range }
    }
}

impl Default for ColorSpace {
    /// [`BT601_LIMITED`](Self::BT601_LIMITED).
    fn default() -> Self {
        Self::BT601_LIMITED
    }
}
