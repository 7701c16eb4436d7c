//! The figures as rows, which the terminal and the page show alike: what it is, each model's value, the difference.

use clipgate::Reason;
use clipgate::evaluate::{Difference, Estimate, Evaluation, Metric, OodFigures, Outcomes, Paired};

use crate::numbers;

/// A figure of one model or two.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) subject: Option<Estimate>,
    pub(crate) reference: Option<Estimate>,
    pub(crate) difference: Option<Difference>,
}

/// How a figure is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// As a percentage.
    Share,
    /// As it is.
    Number,
}

impl Unit {
    fn of(metric: Metric) -> Self {
        if metric.is_share() {
            Self::Share
        } else {
            Self::Number
        }
    }

    pub(crate) fn value(self, estimate: &Estimate) -> String {
        match self {
            Self::Share => numbers::percent(estimate.value),
            Self::Number => numbers::plain(estimate.value),
        }
    }

    pub(crate) fn interval(self, estimate: &Estimate) -> String {
        match self {
            Self::Share => numbers::percent_interval(estimate),
            Self::Number => format!(
                "{}–{}",
                numbers::plain(estimate.low),
                numbers::plain(estimate.high)
            ),
        }
    }

    pub(crate) fn signed(self, value: f64) -> String {
        numbers::signed(value, self == Self::Share)
    }
}

/// All figures in groups with a heading each.
pub(crate) fn groups(
    subject: &Evaluation,
    reference: Option<&Evaluation>,
    paired: Option<&Paired>,
) -> [(&'static str, Vec<Row>); 3] {
    [
        ("With the gate", gate(subject, reference, paired)),
        ("Without it", model(subject, reference, paired)),
        (
            "Telling other images apart",
            separation(subject, reference, paired),
        ),
    ]
}

/// Every reason for which any image was abstained on, in the order in which the gate asks.
pub(crate) fn reasons(sets: &[&Outcomes]) -> Vec<Reason> {
    let abstained = sets.iter().flat_map(|set| &set.abstained);
    let mut reasons: Vec<Reason> = abstained.map(|(reason, _)| *reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

/// The figures without a gate.
fn model(
    subject: &Evaluation,
    reference: Option<&Evaluation>,
    paired: Option<&Paired>,
) -> Vec<Row> {
    subject
        .id
        .metrics
        .iter()
        .map(|(metric, estimate)| Row {
            name: metric.to_string(),
            unit: Unit::of(*metric),
            subject: Some(*estimate),
            reference: reference.and_then(|other| other.id.metrics.get(metric).copied()),
            difference: paired.and_then(|paired| paired.id.get(metric).copied()),
        })
        .collect()
}

/// What the gate does.
fn gate(subject: &Evaluation, reference: Option<&Evaluation>, paired: Option<&Paired>) -> Vec<Row> {
    let Some(own) = &subject.gate else {
        return Vec::new();
    };
    let other = reference.and_then(|reference| reference.gate.as_ref());
    let row = |name: &str, own, other, difference| Row {
        name: name.to_owned(),
        unit: Unit::Share,
        subject: own,
        reference: other,
        difference,
    };
    let mut rows = vec![
        row(
            "Answered",
            Some(own.coverage),
            other.map(|gate| gate.coverage),
            paired.and_then(|paired| paired.coverage),
        ),
        row(
            "Wrong among answered",
            own.selective_risk,
            other.and_then(|gate| gate.selective_risk),
            paired.and_then(|paired| paired.selective_risk),
        ),
    ];
    if own.accepted_ood.is_some() {
        let accepted = other.and_then(|gate| gate.accepted_ood);
        rows.push(row(
            "Other images answered",
            own.accepted_ood,
            accepted,
            paired.and_then(|paired| paired.accepted_ood),
        ));
        rows.push(row(
            "Wrong, with those counted",
            own.risk_with_ood,
            other.and_then(|gate| gate.risk_with_ood),
            None,
        ));
    }
    rows
}

/// How well one score of each model tells the sets apart: its gate's, or the other's where there is no gate.
fn separation(
    subject: &Evaluation,
    reference: Option<&Evaluation>,
    paired: Option<&Paired>,
) -> Vec<Row> {
    let named = |set: &OodFigures| {
        let score = set.leading_score()?;
        let other =
            reference.and_then(|other| other.ood.iter().find(|other| other.name == set.name));
        let other = other.and_then(|other| other.gate_score().or(other.of(score.score)));
        let scores = match other.filter(|other| other.score != score.score) {
            Some(other) => format!("{}, {}", score.score.as_str(), other.score.as_str()),
            None => score.score.as_str().to_owned(),
        };
        Some(Row {
            name: format!("AUROC, {} ({scores})", set.name),
            unit: Unit::Share,
            subject: Some(score.auroc),
            reference: other.map(|other| other.auroc),
            difference: paired.and_then(|paired| {
                let same = paired.ood.iter().find(|other| other.name == set.name);
                same.map(|other| other.auroc)
            }),
        })
    };
    subject.ood.iter().filter_map(named).collect()
}
