//! Raw frames, one after the other.

use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::time::{Duration, Instant};

use clipgate::{Error, ErrorKind, Result};

use super::capture::{Next, Source};
use super::picture::Picture;

/// Timestamps: when frames arrive, or how they were taken.
#[derive(Debug)]
pub(super) struct Clock {
    fps: Option<f64>,
    frames: u64,
    start: Option<Instant>,
    last: Option<Duration>,
}

impl Clock {
    pub(super) fn new(fps: Option<f64>) -> Self {
        Self {
            fps,
            frames: 0,
            start: None,
            last: None,
        }
    }

    /// The timestamp of the next frame, above the last one's.
    pub(super) fn tick(&mut self) -> Duration {
        let timestamp = match self.fps {
            Some(fps) => Duration::from_secs_f64(self.frames as f64 / fps),
            None => self.start.get_or_insert_with(Instant::now).elapsed(),
        };
        self.frames += 1;
        let least = self.last.map(|last| last + Duration::from_nanos(1));
        let timestamp = least.map_or(timestamp, |least| timestamp.max(least));
        self.last = Some(timestamp);
        timestamp
    }
}

/// Frames of one geometry, without anything between them.
pub(super) struct Pipe<R> {
    input: R,
    picture: Picture,
    pixels: Vec<u8>,
    frames: u64,
    clock: Clock,
}

impl<R: Read> Pipe<R> {
    pub(super) fn new(input: R, picture: Picture, clock: Clock) -> Result<Self> {
        Ok(Self {
            input,
            pixels: vec![0; picture.bytes()],
            picture,
            frames: 0,
            clock,
        })
    }
}

impl<R: Read> Source for Pipe<R> {
    fn next(&mut self) -> Result<Next<'_>> {
        let filled = fill(&mut self.input, &mut self.pixels).map_err(|error| {
            Error::new(
                ErrorKind::Machine,
                format!("-: frame {} cannot be read", self.frames),
            )
            .with_source(error)
        })?;
        if filled == 0 {
            return Ok(Next::End);
        }
        if filled < self.pixels.len() {
            let Picture {
                width,
                height,
                format,
                ..
            } = self.picture;
            return Err(Error::new(
                ErrorKind::Caller,
                format!(
                    "-: the stream ended inside frame {}, after {filled} of {} bytes: it broke off, or its frames are not \
                     {width}x{height} {format}",
                    self.frames,
                    self.pixels.len()
                ),
            ));
        }
        self.frames += 1;
        Ok(Next::Frame {
            frame: self.picture.frame(&self.pixels)?,
            timestamp: self.clock.tick(),
            file: None,
        })
    }
}

/// Reads until the buffer is full or the input ends; tells how many bytes came.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether standard input is a file, which waits as long as it takes.
#[cfg(unix)]
pub(super) fn is_a_file(stdin: &io::Stdin) -> bool {
    use std::os::fd::AsFd;
    let file = stdin.as_fd().try_clone_to_owned().map(std::fs::File::from);
    file.and_then(|file| file.metadata())
        .is_ok_and(|metadata| metadata.is_file())
}

#[cfg(not(unix))]
pub(super) fn is_a_file(_: &io::Stdin) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use clipgate::PixelFormat;

    /// Hands out a few bytes at a time, as a pipe does.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(7);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn frames_are_whole_however_they_trickle_in_and_a_short_last_one_is_named() {
        let picture = Picture::packed(4, 2, PixelFormat::Nv12).unwrap();
        let bytes: Vec<u8> = (0..12 * 3 + 5).collect();
        let mut pipe = Pipe::new(Trickle(&bytes), picture, Clock::new(Some(10.0))).unwrap();
        for n in 0..3u32 {
            let Next::Frame {
                frame, timestamp, ..
            } = pipe.next().unwrap()
            else {
                panic!("frame {n}");
            };
            assert_eq!(frame.planes()[0].data[0], n as u8 * 12);
            assert_eq!(timestamp, Duration::from_millis(100) * n);
        }
        let error = pipe.next().err().unwrap().to_string();
        for part in ["frame 3", "5 of 12 bytes", "4x2 nv12"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn timestamps_of_arrival_increase() {
        let mut clock = Clock::new(None);
        let mut last = clock.tick();
        for _ in 0..1000 {
            let next = clock.tick();
            assert!(next > last);
            last = next;
        }
    }
}
