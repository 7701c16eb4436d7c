//! JPEG at a half, a quarter or an eighth, in Rust: one small inverse DCT a block (crate `jpeg-decoder`).

use super::DecodedImage;

type Failure = Box<dyn std::error::Error>;

/// Fills `image` with the picture scaled to its edges, which are the file's divided by 2, 4 or 8.
///
/// # Errors
/// What the decoder says of a file that it cannot read, or that is neither grey nor of three colours.
pub(super) fn read(bytes: &[u8], image: &mut DecodedImage) -> Result<(), Failure> {
    let (width, height) = (u16::try_from(image.width)?, u16::try_from(image.height)?);
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(image.pixels.len());
    let scaled = decoder.scale(width, height)?;
    if scaled != (width, height) {
        return Err(format!("no scale leads to {width}x{height}, but {scaled:?}").into());
    }
    let pixels = decoder.decode()?;
    if pixels.len() == image.pixels.len() {
        image.pixels = pixels;
    } else if pixels.len() * 3 == image.pixels.len() {
        for (rgb, gray) in image.pixels.chunks_exact_mut(3).zip(pixels) {
            rgb.fill(gray);
        }
    } else {
        return Err("neither grey nor of three colours".into());
    }
    Ok(())
}
