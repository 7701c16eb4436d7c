//! A Video4Linux camera.

use std::io;
use std::path::Path;
use std::time::Duration;

use clipgate::{Error, ErrorKind, PixelFormat, Result};
use v4l::buffer::Type;
use v4l::io::mmap::Stream;
use v4l::io::traits::CaptureStream;
use v4l::video::Capture;
use v4l::{Format, FourCC};

use super::args::WatchArgs;
use super::camera::Device;
use super::picture::Picture;

/// Buffers that the driver fills in turn.
const BUFFERS: u32 = 4;

/// What the kernel calls the formats that clipgate reads, the cheapest first.
const FORMATS: [(&[u8; 4], PixelFormat); 11] = [
    (b"NV12", PixelFormat::Nv12),
    (b"NV21", PixelFormat::Nv21),
    (b"YU12", PixelFormat::I420),
    (b"YV12", PixelFormat::Yv12),
    (b"YUYV", PixelFormat::Yuyv),
    (b"UYVY", PixelFormat::Uyvy),
    (b"RGB3", PixelFormat::Rgb8),
    (b"BGR3", PixelFormat::Bgr8),
    (b"AB24", PixelFormat::Rgba8),
    (b"AR24", PixelFormat::Bgra8),
    (b"GREY", PixelFormat::Gray8),
];

/// An open camera, in a format that clipgate reads.
pub(super) struct V4lDevice {
    device: v4l::Device,
    /// Running until something goes wrong; made anew then.
    stream: Option<Stream<'static>>,
    /// A picture of the user's colours, orientation and region.
    like: Picture,
}

impl V4lDevice {
    pub(super) fn open(path: &Path, args: &WatchArgs) -> Result<Self> {
        let refused = |what: &str, error: io::Error| {
            Error::new(ErrorKind::Machine, format!("{}: {what}", path.display())).with_source(error)
        };
        let device = v4l::Device::with_path(path)
            .map_err(|error| refused("the camera cannot be opened", error))?;
        let current = device
            .format()
            .map_err(|error| refused("is no camera", error))?;
        let (width, height) = args
            .wanted_size()
            .unwrap_or((current.width, current.height));
        let wanted = FORMATS
            .iter()
            .filter(|(_, format)| args.wanted_format().is_none_or(|wanted| wanted == *format));
        for (name, _) in wanted {
            let asked = Format::new(width, height, FourCC::new(name));
            let given = device
                .set_format(&asked)
                .map_err(|error| refused("the format cannot be set (is it in use?)", error))?;
            if given.fourcc == asked.fourcc {
                if args.wanted_size().is_some() && (given.width, given.height) != (width, height) {
                    log::warn!(
                        "the camera gives {}x{} for {width}x{height}",
                        given.width,
                        given.height
                    );
                }
                let like = args.seen(picture(&given)?)?;
                return Ok(Self {
                    device,
                    stream: None,
                    like,
                });
            }
        }
        let offered: Vec<String> = device
            .enum_formats()
            .unwrap_or_default()
            .iter()
            .map(|offered| offered.fourcc.to_string())
            .collect();
        Err(Error::new(
            ErrorKind::Caller,
            format!(
                "{}: the camera offers {}, none of which is read here; decode it: ffmpeg -i {} -f rawvideo -pix_fmt nv12 - \
                 | clipgate watch - --size {width}x{height} --pixel-format nv12",
                path.display(),
                offered.join(", "),
                path.display()
            ),
        ))
    }
}

impl Device for V4lDevice {
    fn capture(&mut self, pixels: &mut Vec<u8>, patience: Duration) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::with_buffers(&self.device, Type::VideoCapture, BUFFERS)?,
        };
        stream.set_timeout(patience);
        // After an error the crate would hand a buffer in twice: the stream is made anew.
        let (bytes, metadata) = stream.next()?;
        let used = (metadata.bytesused as usize).min(bytes.len());
        pixels.clear();
        pixels.extend_from_slice(&bytes[..used]);
        self.stream = Some(stream);
        Ok(())
    }

    fn picture(&mut self) -> Result<Picture> {
        let format = self.device.format().map_err(|error| {
            Error::new(ErrorKind::Machine, "the camera no longer says its format")
                .with_source(error)
        })?;
        let now = picture(&format)?;
        Ok(Picture {
            color: self.like.color,
            orientation: self.like.orientation,
            region: self.like.region,
            ..now
        })
    }
}

/// What the driver says of its frames; rows with gaps between them are taken as far as the picture can say so.
fn picture(format: &Format) -> Result<Picture> {
    let known = FORMATS
        .iter()
        .find(|(name, _)| FourCC::new(name) == format.fourcc);
    match known {
        Some((_, pixels)) => {
            Picture::with_stride(format.width, format.height, *pixels, format.stride as usize)
        }
        None => Err(Error::new(
            ErrorKind::Machine,
            format!(
                "the camera has changed to {}, which is not read here",
                format.fourcc
            ),
        )),
    }
}
