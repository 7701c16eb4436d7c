//! A camera's loop: frames, and everything else that a camera may do.
//!
//! It is tested against a device that the tests make up. What the kernel's own devices do was not tried.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clipgate::{Error, ErrorKind, Result};

use super::capture::{Next, Source};
use super::picture::Picture;
use super::pipe::Clock;

/// How long one call waits for a frame, so that the stream can be ended.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a camera may deliver nothing.
const SILENCE: Duration = Duration::from_secs(5);

/// Buffers of a wrong size, one after the other, before the camera is given up.
const MAX_SHORT: u32 = 30;

/// What a camera is to the loop.
pub(super) trait Device {
    /// Puts the next frame's bytes into `pixels`; waits for it as long as `patience` and is `TimedOut` then.
    fn capture(&mut self, pixels: &mut Vec<u8>, patience: Duration) -> io::Result<()>;

    /// What the bytes are at the moment.
    fn picture(&mut self) -> Result<Picture>;
}

/// A camera as a source.
pub(super) struct Camera<D> {
    path: PathBuf,
    device: D,
    picture: Picture,
    pixels: Vec<u8>,
    clock: Clock,
    frames: u64,
    short: u32,
    silent_since: Option<Instant>,
    silence: Duration,
}

impl<D: Device> Camera<D> {
    pub(super) fn new(path: &Path, mut device: D, clock: Clock) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            picture: device.picture()?,
            device,
            pixels: Vec::new(),
            clock,
            frames: 0,
            short: 0,
            silent_since: None,
            silence: SILENCE,
        })
    }

    fn lost(&self, error: io::Error) -> Error {
        let what = format!(
            "{}: the camera is gone after {} frames (unplugged, or taken by another program)",
            self.path.display(),
            self.frames
        );
        Error::new(ErrorKind::Machine, what).with_source(error)
    }

    fn silent(&self) -> Error {
        Error::new(
            ErrorKind::Machine,
            format!(
                "{}: no frame for {:.1} s, after {} frames",
                self.path.display(),
                self.silence.as_secs_f64(),
                self.frames
            ),
        )
    }

    /// A buffer of another size than the picture's: the format may have changed, a driver may round up, else the frame
    /// is lost.
    fn misfit(&mut self) -> Result<Next<'_>> {
        let before = self.picture;
        self.picture = self.device.picture()?;
        if self.picture != before {
            log::info!("the camera's frames are {:?} now", self.picture);
        }
        if self.pixels.len() >= self.picture.bytes() {
            return self.frame();
        }
        if self.picture != before {
            return Ok(Next::Nothing);
        }
        self.short += 1;
        let error = Error::new(
            ErrorKind::Machine,
            format!(
                "{}: frame {} has {} of {} bytes",
                self.path.display(),
                self.frames,
                self.pixels.len(),
                self.picture.bytes()
            ),
        );
        self.frames += 1;
        if self.short >= MAX_SHORT {
            return Err(error.at(format_args!("{MAX_SHORT} frames in a row are broken")));
        }
        Ok(Next::Failed { file: None, error })
    }

    fn frame(&mut self) -> Result<Next<'_>> {
        self.short = 0;
        self.frames += 1;
        Ok(Next::Frame {
            timestamp: self.clock.tick(),
            frame: self.picture.frame(&self.pixels)?,
            file: None,
        })
    }
}

impl<D: Device> Source for Camera<D> {
    fn next(&mut self) -> Result<Next<'_>> {
        match self.device.capture(&mut self.pixels, PATIENCE) {
            Ok(()) => self.silent_since = None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Next::Nothing),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let since = *self.silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.silence {
                    return Err(self.silent());
                }
                return Ok(Next::Nothing);
            }
            Err(error) => return Err(self.lost(error)),
        }
        if self.pixels.len() == self.picture.bytes() {
            return self.frame();
        }
        self.misfit()
    }
}
