//! A camera that the tests make up: it delivers, is silent, stutters, changes its format and is unplugged.

use std::collections::VecDeque;

use clipgate::PixelFormat;

use super::*;

/// What the device does next.
enum Does {
    Delivers(usize),
    Sleeps,
    IsInterrupted,
    ChangesTo(u32, u32, PixelFormat),
    IsUnplugged,
}

struct Fake {
    script: VecDeque<Does>,
    picture: (u32, u32, PixelFormat),
}

impl Device for Fake {
    fn capture(&mut self, pixels: &mut Vec<u8>, patience: Duration) -> io::Result<()> {
        loop {
            match self.script.pop_front() {
                Some(Does::Delivers(bytes)) => {
                    pixels.clear();
                    pixels.resize(bytes, 100);
                    return Ok(());
                }
                Some(Does::Sleeps) => {
                    std::thread::sleep(patience.min(Duration::from_millis(5)));
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Some(Does::IsInterrupted) => return Err(io::ErrorKind::Interrupted.into()),
                Some(Does::ChangesTo(width, height, format)) => {
                    self.picture = (width, height, format);
                }
                // ENODEV
                Some(Does::IsUnplugged) | None => return Err(io::Error::from_raw_os_error(19)),
            }
        }
    }

    fn picture(&mut self) -> Result<Picture> {
        let (width, height, format) = self.picture;
        Picture::packed(width, height, format)
    }
}

fn camera(script: impl IntoIterator<Item = Does>) -> Camera<Fake> {
    let device = Fake {
        script: script.into_iter().collect(),
        picture: (4, 2, PixelFormat::Yuyv),
    };
    let mut camera = Camera::new(Path::new("/dev/video9"), device, Clock::new(None)).unwrap();
    camera.silence = Duration::from_millis(30);
    camera
}

/// What the camera says until it ends, each in a word or two.
fn said(camera: &mut Camera<Fake>) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        match camera.next() {
            Ok(Next::Frame { frame, .. }) => said.push(format!(
                "{}x{} {}",
                frame.width(),
                frame.height(),
                frame.format()
            )),
            Ok(Next::Failed { error, .. }) => said.push(format!("failed: {error}")),
            Ok(Next::Nothing) => said.push("nothing".to_owned()),
            Ok(Next::End) => said.push("end".to_owned()),
            Err(error) => {
                said.push(format!("error: {}", error.report()));
                return said;
            }
        }
    }
}

#[test]
fn an_unplugged_camera_is_an_error_that_says_so() {
    let said = said(&mut camera([
        Does::Delivers(16),
        Does::Delivers(16),
        Does::IsUnplugged,
    ]));
    assert_eq!(&said[..2], ["4x2 yuyv", "4x2 yuyv"]);
    assert!(
        said[2].starts_with("error: /dev/video9: the camera is gone after 2 frames"),
        "{said:?}"
    );
}

#[test]
fn a_short_buffer_loses_its_frame_and_the_next_one_comes() {
    let script = [
        Does::Delivers(16),
        Does::Delivers(7),
        Does::Delivers(0),
        Does::Delivers(16),
    ];
    let said = said(&mut camera(script));
    assert_eq!(said[1], "failed: /dev/video9: frame 1 has 7 of 16 bytes");
    assert_eq!(said[2], "failed: /dev/video9: frame 2 has 0 of 16 bytes");
    assert_eq!(said[3], "4x2 yuyv");
}

#[test]
fn a_camera_that_delivers_nothing_but_broken_frames_is_given_up() {
    let said = said(&mut camera((0..100).map(|_| Does::Delivers(3))));
    assert_eq!(said.len(), MAX_SHORT as usize);
    assert!(
        said.last()
            .unwrap()
            .starts_with("error: 30 frames in a row are broken"),
        "{said:?}"
    );
}

#[test]
fn a_changed_format_is_followed() {
    let script = [
        Does::Delivers(16),
        Does::ChangesTo(2, 2, PixelFormat::Nv12),
        Does::Delivers(6),
        Does::Delivers(6),
        Does::ChangesTo(8, 2, PixelFormat::Nv12),
        // A broken one, a whole one, and one that is rounded up.
        Does::Delivers(5),
        Does::Delivers(24),
        Does::Delivers(4096),
        Does::ChangesTo(2, 2, PixelFormat::Nv12),
        Does::Delivers(6),
    ];
    let said = said(&mut camera(script));
    assert_eq!(
        &said[..7],
        [
            "4x2 yuyv", "2x2 nv12", "2x2 nv12", "nothing", "8x2 nv12", "8x2 nv12", "2x2 nv12"
        ]
    );
}

#[test]
fn silence_is_borne_for_a_while_and_interruptions_are_nothing() {
    let borne = [
        Does::Sleeps,
        Does::Sleeps,
        Does::IsInterrupted,
        Does::Delivers(16),
    ];
    let said_then = said(&mut camera(borne));
    assert_eq!(
        &said_then[..4],
        ["nothing", "nothing", "nothing", "4x2 yuyv"]
    );
    let said = said(&mut camera((0..100).map(|_| Does::Sleeps)));
    let last = said.last().unwrap();
    assert!(
        last.starts_with("error: /dev/video9: no frame for 0.0 s, after 0 frames"),
        "{last}"
    );
    assert!(said.len() < 20);
}
