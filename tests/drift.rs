//! False alarms of `DriftMonitor`, small enough for every run (`cargo bench --bench drift` is the large version), and
//! what a classifier does about drift.

use std::path::Path;
use std::time::Duration;

use clipgate::bounds::{binomial_lower, dkw_epsilon};
use clipgate::{
    Bundle, Calibration, Classification, Classifier, DecodeLimits, DriftMonitor, DriftOptions,
    DriftReference, ErrorKind, Label, LabelBank, LiveStream, Reason, StreamAnswer, StreamEvent,
    StreamOptions, VideoStream, decode_file,
};
use serde_json::{Value, json};

use crate::support::runtime;
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

/// Pocket's calibration, as if its images had scored this.
fn calibrated_on(scores: Value) -> Result<Calibration, clipgate::Error> {
    let bundle = Bundle::embedded().unwrap();
    let mut json = serde_json::to_value(bundle.calibration().unwrap()).unwrap();
    json["drift"] = scores;
    Calibration::from_json(json.to_string().as_bytes())
}

fn classify(classifier: &mut Classifier, photo: &str) -> Classification {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(photo);
    let image = decode_file(&path, &DecodeLimits::default()).unwrap();
    classifier.classify(&image.frame().unwrap()).unwrap()
}

#[test]
fn a_classifier_accepts_nothing_more_once_the_stream_has_drifted() {
    let low = json!({"n": 1000, "scores": [0.1, 0.2, 0.3], "at_most": [1, 500, 1000]});
    let mut classifier = Classifier::options()
        .calibration(calibrated_on(low).unwrap())
        .drift(DriftOptions::default().stride(1))
        .open(&runtime(), &Bundle::embedded().unwrap())
        .unwrap();
    let mut plain = Classifier::new(&runtime(), &Bundle::embedded().unwrap()).unwrap();
    let reason = |classifier: &mut Classifier, photo| classify(classifier, photo).decision.reason();

    let answer = classify(&mut classifier, "coffee.jpg");
    assert!(answer.decision.accepted().is_some());
    assert!(answer.drift.is_some_and(|drift| !drift.is_stale()));
    let unusable = classify(&mut classifier, "covered_lens.jpg");
    assert_eq!(unusable.drift.map(|drift| drift.frames), Some(1));

    let frames = (2..20).find(|_| {
        classify(&mut classifier, "coffee.jpg")
            .drift
            .unwrap()
            .is_stale()
    });
    assert!(frames.is_some());
    let stale = classify(&mut classifier, "coffee.jpg");
    assert_eq!(stale.decision.reason(), Some(Reason::StaleCalibration));
    assert_eq!(stale.top, answer.top);
    for photo in ["covered_lens.jpg", "gravel.jpg", "rocket.jpg"] {
        assert_eq!(
            reason(&mut classifier, photo),
            reason(&mut plain, photo),
            "{photo}"
        );
    }

    classifier.reset_drift();
    assert!(
        classify(&mut classifier, "coffee.jpg")
            .decision
            .accepted()
            .is_some()
    );
    assert_eq!(classify(&mut plain, "coffee.jpg").drift, None);
}

#[test]
fn a_stream_that_has_drifted_goes_on_after_a_reset() {
    let low = json!({"n": 1000, "scores": [0.1, 0.2, 0.3], "at_most": [1, 500, 1000]});
    let mut classifier = Classifier::options()
        .calibration(calibrated_on(low).unwrap())
        .drift(DriftOptions::default().stride(1))
        .open(&runtime(), &Bundle::embedded().unwrap())
        .unwrap();
    let reason = |answer: &StreamAnswer| answer.raw.decision.reason();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/coffee.jpg");
    let image = decode_file(&path, &DecodeLimits::default()).unwrap();
    let frame = image.frame().unwrap();
    let make_stale = |classifier: &mut Classifier| {
        let stale = (0..30).any(|_| {
            let answer = classifier.classify(&frame).unwrap();
            answer.decision.reason() == Some(Reason::StaleCalibration)
        });
        assert!(stale);
    };

    make_stale(&mut classifier);
    let mut video = VideoStream::new(classifier, StreamOptions::default()).unwrap();
    let before = video.classify(&frame, Duration::from_millis(0)).unwrap();
    video.reset_drift();
    let after = video.classify(&frame, Duration::from_millis(10)).unwrap();
    assert_eq!(
        (reason(&before), reason(&after)),
        (Some(Reason::StaleCalibration), None)
    );

    let mut classifier = video.into_classifier();
    make_stale(&mut classifier);
    let (live, results) = LiveStream::channel(classifier, StreamOptions::default(), 4).unwrap();
    let answer = |at| {
        live.push(&frame, Duration::from_millis(at)).unwrap();
        loop {
            match results.recv() {
                Some(StreamEvent::Answer(answer)) => break answer,
                // On a slow machine.
                Some(StreamEvent::Late { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let before = answer(0);
    live.reset_drift();
    let after = answer(10);
    assert_eq!(
        (reason(&before), reason(&after)),
        (Some(Reason::StaleCalibration), None)
    );
}

#[test]
fn drift_is_told_beside_scores_of_ones_own() {
    let reference = DriftReference::from_scores(&[0.999; 50]).unwrap();
    let monitor = DriftMonitor::new(&reference, DriftOptions::default().stride(1)).unwrap();
    let mut classifier = Classifier::options()
        .drift_monitor(monitor)
        .open(&runtime(), &Bundle::embedded().unwrap())
        .unwrap();
    for _ in 0..30 {
        classify(&mut classifier, "gravel.jpg");
    }
    assert!(classifier.drift().unwrap().is_stale());
}

#[test]
fn a_calibration_that_cannot_tell_drift_is_refused() {
    let bundle = Bundle::embedded().unwrap();
    let one = json!({"n": 20, "scores": [0.5], "at_most": [20]});
    let refused = |calibration, bank: Option<LabelBank>| {
        let mut options = Classifier::options().calibration(calibration);
        if let Some(bank) = bank {
            options = options.bank(bank);
        }
        let opened = options
            .drift(DriftOptions::default())
            .open(&runtime(), &bundle);
        let error = opened.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Policy);
        error.to_string()
    };
    let scoreless = refused(calibrated_on(Value::Null).unwrap(), None);
    assert!(scoreless.contains("keeps no scores"), "{scoreless}");
    let dimension = bundle.manifest().embedding_dim;
    let mut row = vec![0.0; dimension];
    row[0] = 1.0;
    let bank = LabelBank::new(vec![Label::new("cup").unwrap()], row, dimension).unwrap();
    let transferred = refused(calibrated_on(one).unwrap(), Some(bank));
    assert!(transferred.contains("other labels"), "{transferred}");

    let damaged = json!({"n": 20, "scores": [0.5], "at_most": [19]});
    let error = calibrated_on(damaged).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    assert!(error.report().contains("`at_most`"), "{}", error.report());
}
