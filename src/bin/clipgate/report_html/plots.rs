//! The page's pictures: reliability, risk against coverage, score histograms, outcomes.

use clipgate::Reason;
use clipgate::evaluate::{GateFigures, Histogram, Outcomes};
use clipgate::metrics::{ReliabilityBin, RiskCoveragePoint};
use maud::{Markup, html};

use super::chart::{Axis, Chart, point, round_up};
use crate::evaluate::rows;
use crate::numbers::{NONE, about, count, percent};

/// Side of the square area of a reliability diagram.
const SQUARE: f64 = 220.0;

/// Height of the plotted area of the others.
const FLAT: f64 = 180.0;

/// One model's curve and where its gate stands on it.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) points: &'a [RiskCoveragePoint],
    pub(super) gate: Option<&'a GateFigures>,
}

/// Stated against true probability of one model, `place` being 0 for the one under test.
pub(super) fn reliability(place: usize, name: &str, ece: &str, bins: &[ReliabilityBin]) -> Markup {
    let colour = series(place);
    let chart = Chart {
        id: format!("reliability-{place}"),
        title: format!("Reliability of {name}"),
        description: format!(
            "For each range of stated confidence, the share of answers that were right. On the diagonal both agree. \
             Calibration error {ece}."
        ),
        x: share_axis("stated confidence", 1.0),
        y: share_axis("share right", 1.0),
        height: SQUARE,
    };
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    let filled = || bins.iter().filter(|bin| bin.count > 0);
    let marks = html! {
        path.diagonal d=(chart.path([(0.0, 0.0), (1.0, 1.0)])) {}
        @for bin in filled() {
            @let (left, right) = (chart.x(bin.low) + 1.0, chart.x(bin.high) - 1.0);
            @let tall = bin.count as f64 / most * 40.0;
            rect.count x=(point(left)) width=(point(right - left)) y=(point(chart.y(0.0) - tall)) height=(point(tall)) {}
        }
        @for bin in filled() {
            @let x = chart.x(bin.confidence);
            line class=(format!("gap {colour}")) x1=(point(x)) x2=(point(x)) y1=(point(chart.y(bin.confidence))) y2=(point(chart.y(bin.accuracy))) {}
        }
        path class=(format!("line {colour}")) d=(chart.path(filled().map(|bin| (bin.confidence, bin.accuracy)))) {}
        @for bin in filled() {
            circle class=(format!("dot {colour}")) cx=(point(chart.x(bin.confidence))) cy=(point(chart.y(bin.accuracy))) r="3.5" {}
        }
    };
    let rows = filled().map(|bin| {
        vec![
            format!("{} to {}", about(bin.low), about(bin.high)),
            count(bin.count),
            percent(bin.confidence),
            percent(bin.accuracy),
        ]
    });
    figure(
        chart.draw(marks),
        html! { b { (name) } " · calibration error " (ece) },
        &["Confidence", "Images", "Mean", "Right"],
        rows.collect(),
    )
}

/// Risk against coverage, a line a model, and the gates' operating points with their intervals.
pub(super) fn risk_coverage(id: &str, curves: &[Curve<'_>]) -> Markup {
    let highest = curves
        .iter()
        .flat_map(|curve| {
            let gate = curve.gate.and_then(|gate| gate.selective_risk);
            let points = curve.points.iter().map(|point| point.risk);
            points.chain(gate.map(|risk| risk.high))
        })
        .fold(0.0, f64::max);
    let chart = Chart {
        id: id.to_owned(),
        title: "Risk against coverage".to_owned(),
        description: "How many answers are wrong if only the surest share of images is answered; the marks are \
                      where the gates stand, with their 95 % intervals."
            .to_owned(),
        x: share_axis("share answered", 1.0),
        y: share_axis("wrong among answered", round_up(highest)),
        height: SQUARE,
    };
    let marks = html! {
        @for (place, curve) in curves.iter().enumerate() {
            path class=(format!("line {}", series(place)))
                d=(chart.path(curve.points.iter().map(|point| (point.coverage, point.risk)))) {}
        }
        @for (place, curve) in curves.iter().enumerate() {
            @if let Some((coverage, risk)) = curve.gate.and_then(|gate| Some((gate.coverage, gate.selective_risk?))) {
                @let (x, y) = (chart.x(coverage.value), chart.y(risk.value));
                g class=(format!("operating {}", series(place))) {
                    line x1=(point(chart.x(coverage.low))) x2=(point(chart.x(coverage.high))) y1=(point(y)) y2=(point(y)) {}
                    line x1=(point(x)) x2=(point(x)) y1=(point(chart.y(risk.low))) y2=(point(chart.y(risk.high))) {}
                    @match place {
                        0 => circle cx=(point(x)) cy=(point(y)) r="5" {},
                        _ => rect x=(point(x - 4.5)) y=(point(y - 4.5)) width="9" height="9" {},
                    }
                }
            }
        }
    };
    let wanted = (1..=10).map(|tenth| f64::from(tenth) / 10.0);
    let rows = wanted.map(|coverage| {
        let mut row = vec![about(coverage)];
        row.extend(curves.iter().map(|curve| match at(curve.points, coverage) {
            Some(risk) => percent(risk),
            None => NONE.to_owned(),
        }));
        row
    });
    let mut heads = vec!["Answered"];
    heads.extend(curves.iter().map(|curve| curve.name));
    figure(
        chart.draw(marks),
        html! { @for (place, curve) in curves.iter().enumerate() { p {
            (key(series(place), curve.name))
            @if let Some(gate) = curve.gate {
                br; "Its gate answers " b { (percent(gate.coverage.value)) }
                @if let Some(risk) = gate.selective_risk { ", of which " b { (percent(risk.value)) } " are wrong" }
                "."
            }
        } } },
        &heads,
        rows.collect(),
    )
}

/// How one score spreads over two sets of images, each as shares of itself.
pub(super) fn histogram(id: &str, histogram: &Histogram) -> Markup {
    let shares = |counts: &[usize]| -> Vec<f64> {
        let total = counts.iter().sum::<usize>().max(1) as f64;
        counts.iter().map(|count| *count as f64 / total).collect()
    };
    let (inside, outside) = (shares(&histogram.id), shares(&histogram.ood));
    let highest = inside.iter().chain(&outside).copied().fold(0.0, f64::max);
    let score = histogram.score.as_str();
    let chart = Chart {
        id: id.to_owned(),
        title: format!("{score} on images of the labels and on {}", histogram.name),
        description:
            "Shares of each set by score; below the cut the gate says: none of the labels."
                .to_owned(),
        x: Axis {
            label: score,
            low: histogram.low,
            high: histogram.high,
            tick: short,
        },
        y: share_axis("share of the set", round_up(highest)),
        height: FLAT,
    };
    let bins = histogram.id.len().max(1);
    let edge =
        |bin: usize| histogram.low + (histogram.high - histogram.low) * bin as f64 / bins as f64;
    let outline = |shares: &[f64]| {
        let steps = shares
            .iter()
            .enumerate()
            .flat_map(|(bin, share)| [(edge(bin), *share), (edge(bin + 1), *share)]);
        let start = std::iter::once((histogram.low, 0.0));
        chart.path(
            start
                .chain(steps)
                .chain(std::iter::once((histogram.high, 0.0))),
        )
    };
    let marks = html! {
        path.area.c1 d=(outline(&inside)) {}
        path.area.c2 d=(outline(&outside)) {}
        path.line.c1 d=(outline(&inside)) {}
        path.line.c2 d=(outline(&outside)) {}
        @if let Some(threshold) = histogram.threshold {
            @let x = chart.x(threshold);
            line.cut x1=(point(x)) x2=(point(x)) y1=(point(chart.y(round_up(highest)))) y2=(point(chart.y(0.0))) {}
            @let (anchor, beside) = if x > chart.x((histogram.low + histogram.high) / 2.0) { ("end", -6.0) } else { ("start", 6.0) };
            text.note x=(point(x + beside)) y=(point(chart.y(round_up(highest)) + 12.0)) text-anchor=(anchor) {
                "cut " (short(threshold))
            }
        }
    };
    let rows = (0..histogram.id.len()).map(|bin| {
        vec![
            format!("{} to {}", short(edge(bin)), short(edge(bin + 1))),
            count(histogram.id[bin]),
            histogram
                .ood
                .get(bin)
                .copied()
                .map_or(NONE.to_owned(), count),
        ]
    });
    figure(
        chart.draw(marks),
        html! { (key("c1", "images of the labels")) (key("c2", &histogram.name)) },
        &["Score", "Labels", "Others"],
        rows.collect(),
    )
}

/// What became of each set's images: a bar a set.
pub(super) fn outcomes(sets: &[&Outcomes]) -> Markup {
    let reasons = rows::reasons(sets);
    html! {
        p.keys {
            (key("right", "answered, right")) (key("wrong", "answered, wrong"))
            @for reason in &reasons { (key(class(*reason), words(*reason))) }
        }
        div.outcomes {
            @for set in sets {
                @let parts = parts(set, &reasons);
                div.outcome {
                    div.name { b { (set.name) } span { (count(set.n)) " images" } }
                    svg.bar viewBox="0 0 1000 16" preserveAspectRatio="none" role="img"
                        aria-label=(format!("{}: {}", set.name, spoken(&parts, set.n))) {
                        @for (class, from, wide) in spans(&parts, set.n) {
                            rect class=(class) x=(point(from)) width=(point(wide)) y="0" height="16" {}
                        }
                    }
                    p.parts {
                        @for (class, name, n) in parts.iter().filter(|part| part.2 > 0) {
                            span { i class=(class) {} (name) " " b { (percent(*n as f64 / set.n.max(1) as f64)) } }
                        }
                    }
                }
            }
        }
        (table("Counts", &heads(&reasons), sets.iter().map(|set| row(set, &reasons)).collect()))
    }
}

/// The words for a reason, short enough for a key.
pub(crate) fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::UnusableFrame => "shows nothing",
        Reason::OutOfDistribution => "none of the labels",
        Reason::LowConfidence => "not sure enough",
        Reason::Ambiguous => "more than one label",
        _ => reason.as_str(),
    }
}

fn class(reason: Reason) -> &'static str {
    match reason {
        Reason::UnusableFrame => "r-unusable",
        Reason::OutOfDistribution => "r-ood",
        Reason::LowConfidence => "r-low",
        Reason::Ambiguous => "r-several",
        _ => "r-other",
    }
}

type Part = (&'static str, &'static str, usize);

fn parts(set: &Outcomes, reasons: &[Reason]) -> Vec<Part> {
    let mut parts = vec![
        ("right", "right", set.accepted_right),
        ("wrong", "wrong", set.accepted_wrong),
    ];
    parts.extend(reasons.iter().map(|reason| {
        let found = set.abstained.iter().find(|(other, _)| other == reason);
        (class(*reason), words(*reason), found.map_or(0, |(_, n)| *n))
    }));
    parts
}

fn spoken(parts: &[Part], n: usize) -> String {
    let of = |part: &Part| format!("{} {}", part.1, percent(part.2 as f64 / n.max(1) as f64));
    parts.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Left end and width of each part in thousandths of the bar.
fn spans(parts: &[Part], n: usize) -> Vec<(&'static str, f64, f64)> {
    let mut from = 0.0;
    let mut spans = Vec::with_capacity(parts.len());
    for (class, _, count) in parts.iter().filter(|part| part.2 > 0) {
        let wide = *count as f64 / n.max(1) as f64 * 1000.0;
        spans.push((*class, from, wide));
        from += wide;
    }
    spans
}

fn heads(reasons: &[Reason]) -> Vec<&'static str> {
    let mut heads = vec!["Set", "Images", "Right", "Wrong"];
    heads.extend(reasons.iter().map(|reason| words(*reason)));
    heads
}

fn row(set: &Outcomes, reasons: &[Reason]) -> Vec<String> {
    let mut row = vec![set.name.clone(), count(set.n)];
    row.extend(parts(set, reasons).iter().map(|part| count(part.2)));
    row
}

/// A swatch with its meaning.
fn key(class: &str, name: &str) -> Markup {
    html! { span.key { i class=(class) {} (name) } " " }
}

fn series(place: usize) -> &'static str {
    if place == 0 { "c1" } else { "c2" }
}

/// A picture, what it says, and the numbers behind it.
fn figure(picture: Markup, caption: Markup, heads: &[&str], rows: Vec<Vec<String>>) -> Markup {
    html! {
        figure {
            (picture)
            div { figcaption { (caption) } (table("Numbers", heads, rows)) }
        }
    }
}

/// A table that opens on request; its first column names the rows.
fn table(summary: &str, heads: &[&str], rows: Vec<Vec<String>>) -> Markup {
    html! {
        details {
            summary { (summary) }
            div.scroll { table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for row in &rows { tr { @for (place, cell) in row.iter().enumerate() {
                    @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                } } } }
            } }
        }
    }
}

fn share_axis(label: &'static str, high: f64) -> Axis {
    Axis {
        label,
        low: 0.0,
        high,
        tick: |value| format!("{}", (value * 1000.0).round() / 10.0) + "\u{202f}%",
    }
}

/// A score in at most four letters or so.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "" | "-0" => "0".to_owned(),
        _ => text.replace('-', "−"),
    }
}

/// The risk of the last point that answers no more than `coverage`, or of the first.
fn at(points: &[RiskCoveragePoint], coverage: f64) -> Option<f64> {
    let within = points
        .iter()
        .take_while(|point| point.coverage <= coverage + 1e-9)
        .last();
    within.or(points.first()).map(|point| point.risk)
}
