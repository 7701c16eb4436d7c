//! False alarms and detection of `DriftMonitor`, small enough for every run; `cargo bench --bench drift` is the large
//! version.

use clipgate::bounds::{binomial_lower, dkw_epsilon};
use clipgate::{DriftMonitor, DriftOptions, DriftReference};

use crate::support::streams::{Edge, Frames, Stream};

const FALSE_ALARM: f64 = 0.1;

const STREAMS: usize = 150;

/// A count of alarms fails only if it has at most this probability at the stated rate.
const CHANCE: f64 = 1e-3;

/// Of `streams` streams, those with an alarm within `frames` compared frames, each beside a calibration of its own.
fn alarms(kind: Frames, n: usize, stride: u32, streams: u64, frames: usize) -> usize {
    let options = DriftOptions::default()
        .false_alarm(FALSE_ALARM)
        .stride(stride);
    (0..streams)
        .filter(|seed| {
            let calibration: Vec<f32> =
                Stream::new(Frames::Independent, 2 * seed).take(n).collect();
            let reference = DriftReference::from_scores(&calibration).unwrap();
            let mut monitor = DriftMonitor::new(&reference, options).unwrap();
            let mut stream = Stream::new(kind, 2 * seed + 1).take(frames * stride as usize);
            stream.any(|score| monitor.observe(score).is_stale())
        })
        .count()
}

fn is_above(raised: usize, rate: f64) -> bool {
    raised > 0 && binomial_lower(raised, STREAMS, CHANCE).unwrap() > rate
}

#[test]
fn false_alarms_are_as_rare_as_stated() {
    let mut wrong = Vec::new();
    for (kind, n, stride) in [
        (Frames::Independent, 50, 1),
        (Frames::Independent, 200, 1),
        (Frames::Independent, 1000, 1),
        (Frames::Correlated(0.9), 200, 30),
        (Frames::Repeated(20), 200, 20),
    ] {
        let raised = alarms(kind, n, stride, STREAMS as u64, 400);
        if is_above(raised, FALSE_ALARM) {
            wrong.push(format!("{kind:?}, n {n}: {raised} of {STREAMS}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bets' half of the probability, where nothing is left to the band: bets on low scores are fair.
#[test]
fn a_stream_on_the_edge_of_the_band_raises_no_more_alarms_than_the_bets_may() {
    let (n, rate) = (200, 0.25);
    let radius = dkw_epsilon(n, rate).unwrap();
    let options = DriftOptions::default().false_alarm(2.0 * rate).stride(1);
    let raised = (0..STREAMS as u64)
        .filter(|seed| {
            let calibration: Vec<f32> =
                Stream::new(Frames::Independent, 2 * seed).take(n).collect();
            let reference = DriftReference::from_scores(&calibration).unwrap();
            let mut monitor = DriftMonitor::new(&reference, options).unwrap();
            let mut stream = Edge::new(&calibration, radius, 2 * seed + 1).take(1000);
            stream.any(|score| monitor.observe(score).is_stale())
        })
        .count();
    assert!(raised > 3, "{raised}: the edge is where bets win by luck");
    assert!(!is_above(raised, rate), "{raised} of {STREAMS}");
}

/// Why frames are thinned: without it the bound does not hold, and the documentation says so.
#[test]
fn frames_that_are_alike_raise_false_alarms_without_thinning() {
    let raised = alarms(Frames::Repeated(30), 200, 1, 20, 2000);
    assert!(raised > 10, "{raised} of 20");
}

#[test]
fn observing_allocates_nothing() {
    let calibration: Vec<f32> = Stream::new(Frames::Independent, 1).take(500).collect();
    let reference = DriftReference::from_scores(&calibration).unwrap();
    let mut monitor = DriftMonitor::new(&reference, DriftOptions::default().stride(2)).unwrap();
    let scores: Vec<f32> = Stream::new(Frames::Independent, 2)
        .take(500)
        .chain([f32::NAN; 500])
        .collect();
    let allocated = allocation_counter::measure(|| {
        for &score in &scores {
            monitor.observe(score);
        }
        monitor.reset();
    });
    assert_eq!(allocated.count_total, 0);
}
