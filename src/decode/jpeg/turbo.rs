//! JPEG through libjpeg-turbo, which is what Pillow decodes with: the same pixels, bit for bit.

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use super::DecodedImage;

type Failure = Box<dyn std::error::Error>;

/// A decompressor that is made once; `None` until the first file.
#[derive(Debug, Default)]
pub(super) struct Turbo(Option<Decompressor>);

impl Turbo {
    /// Fills `image`, whose edges are the file's divided by `divisor`.
    ///
    /// # Errors
    /// What libjpeg-turbo cannot read or only warns about: damaged data, an end too soon.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        divisor: u32,
        image: &mut DecodedImage,
    ) -> Result<(), Failure> {
        let decompressor = match &mut self.0 {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        let factor = ScalingFactor::new(1, divisor as usize);
        decompressor.set_scaling_factor(factor)?;
        let header = decompressor.read_header(bytes)?.scaled(factor);
        let (width, height) = (image.width as usize, image.height as usize);
        if (header.width, header.height) != (width, height) {
            return Err(format!("{header:?} is not {width}x{height}").into());
        }
        match header.colorspace {
            Colorspace::CMYK | Colorspace::YCCK => {
                let mut inks = vec![0; width * height * 4];
                decompress(decompressor, bytes, header, PixelFormat::CMYK, &mut inks)?;
                for (rgb, inks) in image.pixels.chunks_exact_mut(3).zip(inks.chunks_exact(4)) {
                    rgb.copy_from_slice(&mixed([inks[0], inks[1], inks[2], inks[3]]));
                }
                Ok(())
            }
            _ => decompress(
                decompressor,
                bytes,
                header,
                PixelFormat::RGB,
                &mut image.pixels,
            ),
        }
    }
}

fn decompress(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    header: DecompressHeader,
    format: PixelFormat,
    pixels: &mut [u8],
) -> Result<(), Failure> {
    let output = Image {
        pixels,
        width: header.width,
        pitch: header.width * format.size(),
        height: header.height,
        format,
    };
    Ok(decompressor.decompress(bytes, output)?)
}

/// Red, green and blue of four inks, as Pillow's `convert("RGB")` rounds them; files hold 255 minus the ink.
fn mixed([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let paper = u32::from(k);
    [c, m, y].map(|ink| {
        let product = (255 - u32::from(ink)) * paper + 128;
        (paper - ((product + (product >> 8)) >> 8)) as u8
    })
}
