//! How often `DriftMonitor` raises a false alarm, and how soon a true one. Prints tables and fails if false alarms are
//! more frequent than stated where the bound holds.
//!
//! ```text
//! cargo bench --bench drift                                  streams that did not drift; some minutes
//! cargo bench --bench drift -- PHOTOS [NAME=FOLDER]...       photos that change, scored by pocket; a minute
//! ```
//!
//! PHOTOS holds a folder for each label of pocket, called by its WordNet id or its name; other folders in it are left
//! out. FOLDER holds photos of another scene. Photos are taken as the whole population: calibrations and streams are
//! drawn from them with replacement.

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use clipgate::bounds::{binomial_lower, dkw_epsilon};
use clipgate::{DriftMonitor, DriftOptions, DriftReference};

#[path = "drift/photos.rs"]
mod photos;
#[path = "../../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;
#[path = "../support/streams.rs"]
mod streams;

use streams::{Edge, Frames, Stream};

const FALSE_ALARM: f64 = 0.05;
/// A count of alarms fails only if it has at most this probability at the stated rate.
const CHANCE: f64 = 1e-3;
const SIZES: [usize; 3] = [50, 200, 1000];
const STREAMS: usize = 400;
const FRAMES: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match arguments.split_first() {
        None => false_alarms(),
        Some((photos, others)) => photos::delays(Path::new(photos), others),
    }
}

fn false_alarms() -> Result<(), Box<dyn Error>> {
    println!(
        "{STREAMS} streams of {FRAMES} frames, each beside a calibration of its own; stated: 5 %"
    );
    println!("frames                 stride  bound  n = 50  n = 200  n = 1000");
    let mut broken = Vec::new();
    for (kind, stride, holds) in [
        (Frames::Independent, 1, true),
        (Frames::Independent, 30, true),
        (Frames::Correlated(0.9), 1, false),
        (Frames::Correlated(0.9), 30, true),
        (Frames::Correlated(0.99), 30, false),
        (Frames::Correlated(0.99), 300, true),
        (Frames::Repeated(30), 1, false),
        (Frames::Repeated(30), 30, true),
        (Frames::Repeated(300), 30, false),
        (Frames::Repeated(300), 300, true),
    ] {
        let counts = SIZES.map(|n| count(n, stride, |seed, _| Stream::new(kind, seed)));
        report(
            &format!("{kind:?}"),
            stride,
            holds.then_some(FALSE_ALARM),
            &counts,
            &mut broken,
        );
    }
    let edge = SIZES.map(|n| {
        count(n, 1, |seed, calibration| {
            Edge::new(
                calibration,
                dkw_epsilon(n, FALSE_ALARM / 2.0).unwrap_or(1.0),
                seed,
            )
        })
    });
    report(
        "edge of the band",
        1,
        Some(FALSE_ALARM / 2.0),
        &edge,
        &mut broken,
    );
    println!("one comparison takes {:.0} ns", comparison()?);
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("\n").into())
    }
}

/// Nanoseconds that a compared frame takes.
fn comparison() -> Result<f64, Box<dyn Error>> {
    let scores: Vec<f32> = Stream::new(Frames::Independent, 1).take(FRAMES).collect();
    let reference = DriftReference::from_scores(&scores)?;
    let mut monitor = DriftMonitor::new(&reference, DriftOptions::default().stride(1))?;
    let start = Instant::now();
    for &score in &scores {
        monitor.observe(score);
    }
    Ok(start.elapsed().as_nanos() as f64 / FRAMES as f64)
}

/// Of [`STREAMS`] streams, those with an alarm.
fn count<S: Iterator<Item = f32>>(
    n: usize,
    stride: u32,
    stream: impl Fn(u64, &[f32]) -> S,
) -> usize {
    let options = DriftOptions::default()
        .false_alarm(FALSE_ALARM)
        .stride(stride);
    let raised = |seed: u64| {
        let calibration: Vec<f32> = Stream::new(Frames::Independent, 2 * seed).take(n).collect();
        let reference = DriftReference::from_scores(&calibration).ok()?;
        let mut monitor = DriftMonitor::new(&reference, options).ok()?;
        let mut frames = stream(2 * seed + 1, &calibration).take(FRAMES);
        Some(frames.any(|score| monitor.observe(score).is_stale()))
    };
    (0..STREAMS as u64)
        .filter(|&seed| raised(seed) == Some(true))
        .count()
}

fn report(
    name: &str,
    stride: u32,
    bound: Option<f64>,
    counts: &[usize; 3],
    broken: &mut Vec<String>,
) {
    let shares = counts.map(|raised| format!("{:.1} %", 100.0 * raised as f64 / STREAMS as f64));
    let stated = bound.map_or("none".to_owned(), |bound| format!("{:.1} %", 100.0 * bound));
    println!(
        "{name:<22} {stride:>6} {stated:>6} {:>7} {:>8} {:>9}",
        shares[0], shares[1], shares[2]
    );
    for (n, &raised) in SIZES.iter().zip(counts) {
        let above = |bound| {
            raised > 0 && binomial_lower(raised, STREAMS, CHANCE).is_ok_and(|low| low > bound)
        };
        if bound.is_some_and(above) {
            broken.push(format!(
                "{name}, stride {stride}, n {n}: {raised} of {STREAMS}"
            ));
        }
    }
}
