//! Pages of made-up figures.

use std::collections::BTreeMap;

use clipgate::calibration::Promise;
use clipgate::evaluate::{
    Difference, Estimate, Histogram, IdFigures, Metric, OodFigures, Outcomes, PairedOod,
    ScoreFigures, Test,
};
use clipgate::metrics::{ReliabilityBin, RiskCoveragePoint};
use clipgate::{CalibrationFit, OodScore};

use super::*;

/// What a hostile file or label may be called.
const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>";

fn near(value: f64) -> Estimate {
    Estimate {
        value,
        low: value - 0.02,
        high: value + 0.02,
    }
}

fn evaluation(shift: f64, gate: bool) -> Evaluation {
    let metrics = [
        (Metric::Accuracy, 0.702),
        (Metric::Ece, 0.041),
        (Metric::Nll, 1.043),
        (Metric::Brier, 0.402),
        (Metric::Aurc, 0.112),
    ];
    let scores = [OodScore::Msp, OodScore::Mcm, OodScore::MaxCosine];
    let set = |name: &str| OodFigures {
        name: name.to_owned(),
        n: 600,
        scores: scores
            .map(|score| ScoreFigures {
                score,
                auroc: near(0.88 + shift),
                aupr: near(0.91),
                fpr95: near(0.37),
            })
            .into(),
        gate: gate.then_some(OodScore::Msp),
    };
    let outcomes = |name: &str, right, wrong, low, none| Outcomes {
        name: name.to_owned(),
        n: right + wrong + low + none + 2,
        accepted_right: right,
        accepted_wrong: wrong,
        abstained: vec![
            (Reason::UnusableFrame, 2),
            (Reason::OutOfDistribution, none),
            (Reason::LowConfidence, low),
        ],
    };
    Evaluation {
        id: IdFigures {
            n: 1620,
            metrics: BTreeMap::from(metrics.map(|(metric, value)| (metric, near(value + shift)))),
        },
        ood: vec![set("textures"), set("sign language digits"), set(HOSTILE)],
        gate: gate.then(|| GateFigures {
            coverage: near(0.49 + shift),
            selective_risk: Some(near(0.08)),
            accepted_ood: Some(near(0.12)),
            risk_with_ood: Some(near(0.19)),
            id: outcomes("images of the labels", 730, 64, 741, 83),
            ood: vec![
                outcomes("textures", 0, 20, 400, 180),
                outcomes("sign language digits", 0, 4, 130, 366),
                outcomes(HOSTILE, 0, 40, 60, 80),
            ],
            score: OodScore::Msp,
            score_threshold: 0.058,
            confidence_threshold: 0.613,
            temperature: 0.81,
            calibration: CalibrationFit::Fitted,
            promise: Promise::none("Nothing is promised."),
        }),
    }
}

fn plots(shift: f64) -> Plots {
    let reliability = (0..15).map(|bin| {
        let middle = (f64::from(bin) + 0.5) / 15.0;
        ReliabilityBin {
            low: f64::from(bin) / 15.0,
            high: f64::from(bin + 1) / 15.0,
            count: 30 + 9 * (bin as usize).pow(2),
            confidence: middle,
            accuracy: (middle + shift + 0.06 * (middle * 9.0).sin()).clamp(0.0, 1.0),
        }
    });
    let risk_coverage = (1..=100).map(|percent| {
        let coverage = f64::from(percent) / 100.0;
        RiskCoveragePoint {
            threshold: 0.5,
            accepted: percent as usize,
            errors: 0,
            coverage,
            risk: 0.02 + shift + 0.28 * coverage.powi(3),
        }
    });
    let bell = |middle: f64, n: f64| {
        (0..24).map(move |bin| {
            (n * (-((f64::from(bin) / 24.0 - middle) * 6.0).powi(2)).exp()) as usize
        })
    };
    let histogram = |name: &str, middle| Histogram {
        name: name.to_owned(),
        score: OodScore::Msp,
        low: 0.0,
        high: 1.0,
        id: bell(0.6, 160.0).collect(),
        ood: bell(middle, 60.0).collect(),
        threshold: Some(0.058 + middle),
    };
    Plots {
        reliability: reliability.collect(),
        risk_coverage: risk_coverage.collect(),
        histograms: vec![
            histogram("textures", 0.2),
            histogram("sign language digits", 0.1),
            histogram(HOSTILE, 0.4),
        ],
    }
}

fn cards(n: usize, reason: Option<Reason>) -> Cards {
    let card = |place: usize| Card {
        picture: None,
        file: format!("photos/{HOSTILE}/{place}.jpg"),
        said: if place == 1 {
            HOSTILE.to_owned()
        } else {
            "computer keyboard".to_owned()
        },
        confidence: Some(0.99 - 0.01 * place as f32),
        truth: "is espresso".to_owned(),
        reason,
    };
    Cards {
        shown: (0..n).map(card).collect(),
        total: 64,
    }
}

fn page_of(gate: bool, compared: bool) -> String {
    let (own, other) = (evaluation(0.0, gate), evaluation(-0.004, gate));
    let (own_plots, other_plots) = (plots(0.0), plots(0.03));
    let difference = |value| Difference {
        estimate: Estimate {
            value,
            low: value - 0.01,
            high: value + 0.01,
        },
        p_value: 0.42,
        test: Test::Bootstrap,
    };
    let paired = Paired {
        n: 1620,
        id: own
            .id
            .metrics
            .keys()
            .map(|metric| (*metric, difference(0.004)))
            .collect(),
        ood: vec![PairedOod {
            name: "textures".to_owned(),
            score: OodScore::Msp,
            reference_score: OodScore::Msp,
            auroc: difference(0.004),
        }],
        coverage: Some(difference(0.001)),
        selective_risk: Some(difference(-0.003)),
        accepted_ood: None,
        agreement: near(0.96),
    };
    render(&Page {
        subject: Subject {
            name: "pocket, int8".to_owned(),
            evaluation: &own,
            plots: &own_plots,
        },
        reference: compared.then(|| Subject {
            name: "pocket, fp32".to_owned(),
            evaluation: &other,
            plots: &other_plots,
        }),
        paired: compared.then_some(&paired),
        promise: "Nothing is promised.".to_owned(),
        mistakes: cards(12, None),
        refusals: cards(12, Some(Reason::LowConfidence)),
        facts: vec![("Images", HOSTILE.to_owned()), ("Seed", "1".to_owned())],
    })
}

#[test]
fn names_of_others_are_text_and_nothing_comes_from_outside() {
    for (gate, compared) in [(true, true), (true, false), (false, true), (false, false)] {
        let page = page_of(gate, compared);
        assert!(!page.contains("<script") && !page.contains("<img src=x"));
        assert!(page.contains("&lt;script&gt;"));
        for outside in [
            "http://",
            "https://",
            "url(",
            "@import",
            "javascript:",
            "<link",
            "<iframe",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

#[test]
fn every_picture_has_words_and_numbers() {
    let page = page_of(true, true);
    let pictures = page.matches("role=\"img\"").count();
    assert_eq!(pictures, page.matches("<svg").count());
    assert_eq!(
        pictures,
        page.matches("aria-labelledby").count() + page.matches("svg class=\"bar\"").count()
    );
    assert_eq!(
        page.matches("<figure>").count(),
        page.matches("<details><summary>Numbers").count()
    );
    // Ids are what descriptions are found by.
    let mut ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), count > 8), (count, true));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn without_a_gate_none_is_shown() {
    let page = page_of(false, false);
    assert!(page.contains("no gate was judged"));
    assert!(!page.contains("Wrong among answered"));
}
