//! Camera frames through the whole path: embeddings of YUV beside those of RGB, and what a frame allocates.

use clipgate::{
    Bundle, Classification, Classifier, ColorSpace, Decision, DecodeLimits, Embedding, Frame,
    ImageEncoder, Orientation, PixelFormat, Preprocessing, Preprocessor, Region, SessionOptions,
    decode_file,
};

use crate::support::encoders::{Control, obedient};
use crate::support::runtime;

/// An RGB picture in BT.601 of limited range, chroma averaged over the pixels that share it.
struct Camera<'a> {
    rgb: &'a [u8],
    width: usize,
    height: usize,
}

impl Camera<'_> {
    fn pixel(&self, x: usize, y: usize) -> [f64; 3] {
        let at = (y.min(self.height - 1) * self.width + x.min(self.width - 1)) * 3;
        [0, 1, 2].map(|channel| f64::from(self.rgb[at + channel]) / 255.0)
    }

    fn luma(&self, x: usize, y: usize) -> u8 {
        byte(16.0 + 219.0 * luma(self.pixel(x, y)))
    }

    /// U and V of two columns and so many rows.
    fn chroma(&self, x: usize, y: usize, rows: usize) -> [u8; 2] {
        let mut sums = [0.0; 2];
        for (dx, dy) in (0..2).flat_map(|dx| (0..rows).map(move |dy| (dx, dy))) {
            let [r, g, b] = self.pixel(x + dx, y + dy);
            sums[0] += (b - luma([r, g, b])) / 1.772;
            sums[1] += (r - luma([r, g, b])) / 1.402;
        }
        sums.map(|sum| byte(128.0 + 224.0 * sum / (2 * rows) as f64))
    }

    /// A packed frame.
    fn frame(&self, format: PixelFormat) -> Vec<u8> {
        let (columns, rows) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let lumas =
            (0..self.width * self.height).map(|i| self.luma(i % self.width, i / self.width));
        let samples = (0..columns * rows).map(|i| self.chroma(i % columns * 2, i / columns * 2, 2));
        let macropixels = (0..columns * self.height).map(|i| {
            let (x, y) = (i % columns * 2, i / columns);
            (self.luma(x, y), self.luma(x + 1, y), self.chroma(x, y, 1))
        });
        match format {
            PixelFormat::Nv12 => lumas.chain(samples.flatten()).collect(),
            PixelFormat::Nv21 => lumas.chain(samples.flat_map(|[u, v]| [v, u])).collect(),
            PixelFormat::I420 => {
                let (us, vs): (Vec<u8>, Vec<u8>) = samples.map(|[u, v]| (u, v)).unzip();
                lumas.chain(us).chain(vs).collect()
            }
            PixelFormat::Yuyv => macropixels
                .flat_map(|(a, b, [u, v])| [a, u, b, v])
                .collect(),
            _ => macropixels
                .flat_map(|(a, b, [u, v])| [u, a, v, b])
                .collect(),
        }
    }

    /// The RGB that the standard's formula makes of a frame whose chroma is that of so many rows.
    fn restored(&self, rows: usize) -> Vec<u8> {
        (0..self.width * self.height)
            .flat_map(|i| {
                let (x, y) = (i % self.width, i / self.width);
                let luma = (f64::from(self.luma(x, y)) - 16.0) / 219.0;
                let [cb, cr] = self
                    .chroma(x / 2 * 2, y / rows * rows, rows)
                    .map(|value| (f64::from(value) - 128.0) / 224.0);
                let (r, b) = (luma + 1.402 * cr, luma + 1.772 * cb);
                let g = (luma - 0.299 * r - 0.114 * b) / 0.587;
                [r, g, b].map(|value| byte(value * 255.0))
            })
            .collect()
    }
}

fn luma([r, g, b]: [f64; 3]) -> f64 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Smooth colours, hard edges, and noise: as packed RGB.
fn synthetic(width: usize, height: usize) -> [Vec<u8>; 3] {
    let picture = |color: &dyn Fn(usize, usize) -> [u8; 3]| {
        (0..width * height)
            .flat_map(|i| color(i % width, i / width))
            .collect()
    };
    [
        picture(&|x, y| {
            [
                (x * 255 / width) as u8,
                (y * 255 / height) as u8,
                ((x + y) * 255 / (width + height)) as u8,
            ]
        }),
        picture(&|x, y| match (x / 40 + y / 30) % 4 {
            0 => [250, 250, 250],
            1 => [200, 30, 40],
            2 => [20, 90, 200],
            _ => [10, 10, 10],
        }),
        picture(&|x, y| {
            let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 13;
            [(noise % 256) as u8; 3]
        }),
    ]
}

/// Of a YUV frame and of the RGB that the formula makes of it. Levels differ by one here and there, and pocket's int8
/// graph answers every such step: 0.99917 was seen.
const SAME_PICTURE: f32 = 0.999;

/// Of a YUV frame and of the RGB it was made of, which had four times or twice the chroma and 256 levels for 219:
/// 0.99922 was seen.
const CHROMA_HALVED: f32 = 0.999;

#[test]
fn embeddings_of_yuv_frames_are_those_of_rgb() {
    let bundle = Bundle::embedded().unwrap();
    let mut encoder = ImageEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    let mut embedding = |frame: &Frame<'_>| -> Embedding { encoder.encode(frame).unwrap().clone() };
    let mut pictures: Vec<(String, Vec<u8>, usize, usize)> = synthetic(321, 239)
        .into_iter()
        .enumerate()
        .map(|(which, rgb)| (format!("synthetic {which}"), rgb, 321, 239))
        .collect();
    let photos = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    for entry in std::fs::read_dir(photos).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            let image = decode_file(&path, &DecodeLimits::default()).unwrap();
            let (width, height) = (image.width() as usize, image.height() as usize);
            pictures.push((
                path.display().to_string(),
                image.pixels().to_vec(),
                width,
                height,
            ));
        }
    }
    assert!(pictures.len() >= 10);
    let (mut lowest, mut lowest_whole) = (1.0f32, 1.0f32);
    let mut failed = Vec::new();
    for (name, rgb, width, height) in &pictures {
        let (w, h) = (*width as u32, *height as u32);
        let camera = Camera {
            rgb,
            width: *width,
            height: *height,
        };
        let whole = embedding(&Frame::new(rgb, w, h, PixelFormat::Rgb8).unwrap());
        for (chroma_rows, formats) in [
            (2, [PixelFormat::Nv21, PixelFormat::I420].as_slice()),
            (1, &[PixelFormat::Yuyv]),
        ] {
            let restored = camera.restored(chroma_rows);
            let expected = embedding(&Frame::new(&restored, w, h, PixelFormat::Rgb8).unwrap());
            for &format in formats {
                let bytes = camera.frame(format);
                let actual = embedding(&Frame::new(&bytes, w, h, format).unwrap());
                let cosine = actual.cosine(&expected).unwrap();
                let cosine_whole = actual.cosine(&whole).unwrap();
                lowest = lowest.min(cosine);
                lowest_whole = lowest_whole.min(cosine_whole);
                if cosine < SAME_PICTURE || cosine_whole < CHROMA_HALVED {
                    failed.push(format!("{name}, {format}: {cosine:.5}, {cosine_whole:.5}"));
                }
            }
        }
    }
    println!(
        "{} pictures: cosine {lowest:.5} and more, {lowest_whole:.5} to the picture before",
        pictures.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

const WIDTH: u32 = 322;
const HEIGHT: u32 = 242;

/// A frame's bytes of every format, which show something.
fn noise() -> Vec<u8> {
    (0..WIDTH * HEIGHT * 4)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Frames of one geometry in every format and turn.
fn frames(bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    PixelFormat::ALL.iter().map(|&format| {
        let length = format.frame_bytes(WIDTH, HEIGHT).unwrap();
        Frame::new(&bytes[..length], WIDTH, HEIGHT, format)
            .unwrap()
            .with_color(ColorSpace::BT709_FULL)
    })
}

fn allocations(run: impl FnMut()) -> u64 {
    allocation_counter::measure(run).count_total
}

#[test]
fn preprocessing_allocates_nothing_after_the_first_frame_of_a_shape() {
    let bytes = noise();
    let spec = Preprocessing::openai(64);
    let mut values = vec![0.0; spec.pixel_values_len()];
    for degrees in [0, 90] {
        let orientation = Orientation::clockwise(degrees).unwrap();
        let mut preprocessor = Preprocessor::new(spec).unwrap();
        let mut run = |frame: Frame<'_>| {
            preprocessor
                .run(&frame.oriented(orientation), &mut values)
                .unwrap();
        };
        // Detecting the processor's features allocates, once a process.
        frames(&bytes).for_each(&mut run);
        assert_eq!(allocations(|| frames(&bytes).for_each(&mut run)), 0);
    }
}

#[test]
fn a_region_that_moves_allocates_nothing() {
    let bytes = noise();
    let spec = Preprocessing::openai(64);
    let mut values = vec![0.0; spec.pixel_values_len()];
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    let mut run = |step: u16| {
        let left = f32::from(step) / 322.0;
        let region = Region::new(left, 0.25, left + 0.5, 0.75).unwrap();
        let frame = frames(&bytes).nth(5).unwrap().region(region);
        preprocessor.run(&frame, &mut values).unwrap();
    };
    (0..2).for_each(&mut run);
    assert_eq!(allocations(|| (0..60).for_each(&mut run)), 0);
}

#[test]
fn classifying_into_an_answer_allocates_nothing_of_ours() {
    let bytes = noise();
    let mut classifier = obedient(&Control::default());
    let mut answer = Classification::default();
    let mut run = |frame: Frame<'_>| classifier.classify_into(&frame, &mut answer).unwrap();
    frames(&bytes).for_each(&mut run);
    assert_eq!(allocations(|| frames(&bytes).for_each(&mut run)), 0);
    assert_eq!(answer.top.len(), 5);
}

/// What remains with ONNX Runtime is `ort`'s own, two small handles a run; its C++ side is not counted here.
#[test]
fn a_frame_s_few_allocations_are_ort_s() {
    let bytes = noise();
    let mut classifier = Classifier::new(&runtime(), &Bundle::embedded().unwrap()).unwrap();
    let mut answer = Classification::default();
    let mut run = |frame: Frame<'_>| classifier.classify_into(&frame, &mut answer).unwrap();
    frames(&bytes).for_each(&mut run);
    let frames_run = frames(&bytes).count() as u64;
    let counted = allocations(|| frames(&bytes).for_each(&mut run));
    println!("{counted} allocations in {frames_run} frames");
    assert!(counted <= 2 * frames_run);
}

#[test]
fn an_answer_that_is_reused_is_the_one_that_is_made_anew() {
    let bytes = noise();
    let mut classifier = obedient(&Control::default());
    let mut reused = Classification::default();
    let black = vec![0; 64 * 64];
    let unusable = Frame::new(&black, 64, 64, PixelFormat::Gray8).unwrap();
    for frame in frames(&bytes).chain([unusable]).chain(frames(&bytes)) {
        classifier.classify_into(&frame, &mut reused).unwrap();
        let mut anew = classifier.classify(&frame).unwrap();
        anew.timings = reused.timings;
        assert_eq!(reused, anew);
    }
    assert!(matches!(
        reused.decision,
        Decision::Accept(_) | Decision::Abstain(_)
    ));
}
