//! What the Rust library answers to the frames that the Android library is tested with: `oracle ONNXRUNTIME OUT PHOTO...`.
//!
//! Writes every frame's bytes to OUT, and a line for each to `OUT/cases.tsv`. `CasesTest.kt` hands the same bytes over and
//! must get the same answers, to the bit.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clipgate::{
    Bundle, Classification, Classifier, ColorSpace, Decision, DecodeLimits, Frame, Orientation,
    PixelFormat, Plane, Region, Runtime, decode_file,
};

/// A frame in memory, as Java will have it.
struct Case {
    name: String,
    bytes: Vec<u8>,
    width: u32,
    height: u32,
    format: PixelFormat,
    /// Offset, row stride and pixel stride of each; none for a packed frame.
    planes: Vec<(usize, usize, usize)>,
    turn: u32,
    is_mirrored: bool,
    /// By its place in [`COLORS`].
    color: usize,
    region: [f32; 4],
}

const WHOLE: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

const COLORS: [ColorSpace; 4] = [
    ColorSpace::BT601_LIMITED,
    ColorSpace::BT601_FULL,
    ColorSpace::BT709_LIMITED,
    ColorSpace::BT709_FULL,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().ok_or("which ONNX Runtime?")?;
    let out = arguments.next().ok_or("where to?")?;
    let runtime = Runtime::load(library.as_ref())?;
    let bundle = Bundle::open("models/pocket")?;
    let mut classifier = Classifier::new(&runtime, &bundle)?;
    let mut table = String::new();
    for photo in arguments {
        let image = decode_file(photo.as_ref(), &DecodeLimits::default())?;
        let name = Path::new(&photo)
            .file_stem()
            .ok_or("a photo without a name")?;
        let name = name.to_string_lossy();
        for case in cases(&name, image.pixels(), image.width(), image.height()) {
            let answer = classifier.classify(&case.frame()?)?;
            fs::write(Path::new(&out).join(&case.name), &case.bytes)?;
            case.describe(&answer, &mut table)?;
        }
    }
    fs::write(Path::new(&out).join("cases.tsv"), table)?;
    Ok(())
}

/// The photo as it is, and in the ways that cameras deliver pictures.
fn cases(photo: &str, rgb: &[u8], width: u32, height: u32) -> Vec<Case> {
    let plain = |name: &str, bytes: Vec<u8>, format| Case {
        name: format!("{photo}-{name}"),
        bytes,
        width,
        height,
        format,
        planes: Vec::new(),
        turn: 0,
        is_mirrored: false,
        color: 0,
        region: WHOLE,
    };
    let (columns, rows) = (width as usize, height as usize);
    let yuv = Yuv::of(rgb, columns, rows);
    let mut cases = vec![
        plain("rgb", rgb.to_vec(), PixelFormat::Rgb8),
        plain(
            "nv21",
            [&yuv.y[..], &yuv.by_turns(1, 0)].concat(),
            PixelFormat::Nv21,
        ),
        plain(
            "nv12",
            [&yuv.y[..], &yuv.by_turns(0, 1)].concat(),
            PixelFormat::Nv12,
        ),
        plain(
            "i420",
            [&yuv.y[..], &yuv.u, &yuv.v].concat(),
            PixelFormat::I420,
        ),
        plain("gray", yuv.y.clone(), PixelFormat::Gray8),
    ];
    for color in 1..COLORS.len() {
        let bytes = [&yuv.y[..], &yuv.u, &yuv.v].concat();
        cases.push(Case {
            color,
            ..plain(&format!("color{color}"), bytes, PixelFormat::I420)
        });
    }
    let row_stride = columns * 4 + 12;
    let rgba = strided(rgb, columns * 3, columns * 4, row_stride, |row, target| {
        for (from, to) in row.chunks(3).zip(target.chunks_mut(4)) {
            to[..3].copy_from_slice(from);
            to[3] = 200;
        }
    });
    cases.push(Case {
        planes: vec![(5, row_stride, 4)],
        bytes: [&[0xEE; 5][..], &rgba].concat(),
        ..plain("rgba-strided", Vec::new(), PixelFormat::Rgba8)
    });
    // YUV_420_888 as most phones lay it out: padded rows, V and U by turns, U a byte behind V.
    let (y_stride, c_stride) = (columns + 32, 2 * yuv.columns + 30);
    let y = strided(&yuv.y, columns, columns, y_stride, |row, target| {
        target.copy_from_slice(row)
    });
    let vu = yuv.by_turns(1, 0);
    let (wide, begin) = (2 * yuv.columns, y.len());
    let vu = strided(&vu, wide, wide, c_stride, |row, target| {
        target.copy_from_slice(row)
    });
    let camera = |name: &str| Case {
        planes: vec![
            (0, y_stride, 1),
            (begin + 1, c_stride, 2),
            (begin, c_stride, 2),
        ],
        bytes: [&y[..], &vu].concat(),
        ..plain(name, Vec::new(), PixelFormat::I420)
    };
    cases.push(camera("camera"));
    for turn in [90, 180, 270] {
        cases.push(Case {
            turn,
            ..camera(&format!("turned{turn}"))
        });
    }
    cases.push(Case {
        is_mirrored: true,
        turn: 90,
        ..camera("mirrored")
    });
    cases.push(Case {
        region: [0.25, 0.0, 1.0, 0.5],
        turn: 270,
        ..camera("region")
    });
    cases
}

/// Rows copied by `copy` into rows of `row` bytes that begin `stride` bytes apart; the last one ends with its last byte.
fn strided(
    source: &[u8],
    source_row: usize,
    row: usize,
    stride: usize,
    copy: impl Fn(&[u8], &mut [u8]),
) -> Vec<u8> {
    let rows = source.len() / source_row;
    let mut target = vec![0xEE; stride * (rows - 1) + row];
    for (number, from) in source.chunks(source_row).enumerate() {
        copy(from, &mut target[number * stride..][..row]);
    }
    target
}

/// A picture of three planes. It need not look like the photo: both sides see the same.
struct Yuv {
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    /// Of a chroma plane.
    columns: usize,
}

impl Yuv {
    fn of(rgb: &[u8], width: usize, height: usize) -> Self {
        let luma =
            |pixel: &[u8]| (pixel.iter().map(|&value| u32::from(value)).sum::<u32>() / 3) as u8;
        let columns = width.div_ceil(2);
        let chroma = |channel: usize| {
            let at = move |row: usize, column: usize| {
                let pixel = &rgb[(row * width + column) * 3..][..3];
                128_u8
                    .wrapping_add(pixel[channel] / 2)
                    .wrapping_sub(pixel[1] / 2)
            };
            (0..height)
                .step_by(2)
                .flat_map(move |row| (0..width).step_by(2).map(move |column| at(row, column)))
                .collect()
        };
        Self {
            y: rgb.chunks(3).map(luma).collect(),
            u: chroma(2),
            v: chroma(0),
            columns,
        }
    }

    /// U (0) and V (1) by turns, in this order.
    fn by_turns(&self, first: usize, second: usize) -> Vec<u8> {
        let planes = [&self.u, &self.v];
        let pairs = planes[first].iter().zip(planes[second]);
        pairs
            .flat_map(|(&first, &second)| [first, second])
            .collect()
    }
}

impl Case {
    fn frame(&self) -> clipgate::Result<Frame<'_>> {
        let planes: Vec<Plane<'_>> = self
            .planes
            .iter()
            .map(|&(offset, row_stride, pixel_stride)| Plane {
                data: &self.bytes[offset..],
                row_stride,
                pixel_stride,
            })
            .collect();
        let frame = match planes.is_empty() {
            true => Frame::new(&self.bytes, self.width, self.height, self.format)?,
            false => Frame::from_planes(&planes, self.width, self.height, self.format)?,
        };
        let orientation = Orientation::clockwise(self.turn)?;
        let [left, top, right, bottom] = self.region;
        Ok(frame
            .with_color(COLORS[self.color])
            .oriented(if self.is_mirrored {
                orientation.mirrored()
            } else {
                orientation
            })
            .region(Region::new(left, top, right, bottom)?))
    }

    /// A line of tab-separated columns; floats as the bits that Java has too.
    fn describe(&self, answer: &Classification, table: &mut String) -> std::fmt::Result {
        let format = PixelFormat::ALL
            .iter()
            .position(|format| *format == self.format);
        let planes: Vec<String> = self
            .planes
            .iter()
            .map(|(offset, row, pixel)| format!("{offset}:{row}:{pixel}"))
            .collect();
        let region: Vec<String> = self.region.iter().map(|edge| edge.to_string()).collect();
        let decision = match &answer.decision {
            Decision::Accept(found) => format!("{}:{}", found.label, bits(found.confidence)),
            Decision::Abstain(abstention) => abstention.reason.as_str().to_owned(),
            _ => "unknown".to_owned(),
        };
        let top: Vec<String> = answer
            .top
            .iter()
            .map(|near| {
                let similarity = bits(Some(near.similarity));
                format!("{}:{}:{similarity}", near.index, bits(near.probability))
            })
            .collect();
        writeln!(
            table,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{decision}\t{}",
            self.name,
            format.unwrap_or(usize::MAX),
            self.width,
            self.height,
            planes.join(","),
            self.turn,
            self.is_mirrored,
            self.color,
            region.join(","),
            top.join(",")
        )
    }
}

fn bits(value: Option<f32>) -> u32 {
    value.unwrap_or(f32::NAN).to_bits()
}
