//! Averages over time: of label probabilities, of reasons, of whether anything is shown.

use std::sync::Arc;

use crate::classifier::Classification;
use crate::decision::Reason;

/// The most labels whose average is kept. What is left out has less than a 64th of the probability.
const MAX_TRACKED: usize = 64;

/// The most labels of one frame that enter the averages, best first.
const MAX_CANDIDATES: usize = 32;

/// An average below this is forgotten: no rule asks so little.
const NEGLIGIBLE: f32 = 1e-4;

/// Reasons in the order of [`reason_slot`].
const REASONS: [Reason; 6] = [
    Reason::UnusableFrame,
    Reason::OutOfDistribution,
    Reason::LowConfidence,
    Reason::Ambiguous,
    Reason::StaleCalibration,
    Reason::Unsettled,
];

/// The averages of one stream. Their memory is fixed.
#[derive(Debug)]
pub(super) struct Averages {
    /// Share of the time in which frames showed something that the labels describe.
    presence: f32,
    tracked: Vec<Tracked>,
    reasons: [f32; REASONS.len()],
    /// The most that a probability counts for on a frame that the gate did not accept.
    unaccepted_limit: f32,
}

/// A label and its average probability.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) index: usize,
    pub(super) label: Arc<str>,
    pub(super) average: f32,
    /// Share of the time in which the gate accepted it.
    accepted: f32,
    /// Whether it has a probability: see [`Prediction::confidence`](crate::Prediction::confidence).
    is_relative: bool,
}

impl Averages {
    pub(super) fn new(unaccepted_limit: f32) -> Self {
        Self {
            presence: 0.0,
            tracked: Vec::with_capacity(MAX_TRACKED),
            reasons: [0.0; REASONS.len()],
            unaccepted_limit,
        }
    }

    pub(super) fn clear(&mut self) {
        self.presence = 0.0;
        self.tracked.clear();
        self.reasons = [0.0; REASONS.len()];
    }

    pub(super) fn presence(&self) -> f32 {
        self.presence
    }

    /// The label whose average is the largest.
    pub(super) fn best(&self) -> Option<&Tracked> {
        self.tracked
            .iter()
            .max_by(|a, b| a.average.total_cmp(&b.average))
    }

    pub(super) fn of(&self, index: usize) -> Option<&Tracked> {
        self.tracked.iter().find(|one| one.index == index)
    }

    /// A label's average probability over the part of the time in which anything was shown.
    pub(super) fn confidence(&self, label: &Tracked) -> Option<f32> {
        label
            .is_relative
            .then(|| (label.average / self.presence).min(1.0))
    }

    /// Share of the time in which this was the gate's reason; of unsettled, that in which it had none.
    pub(super) fn share(&self, reason: Reason) -> f32 {
        self.reasons[reason_slot(Some(reason))]
    }

    /// The most frequent reason; unsettled if the gate mostly had none.
    pub(super) fn most_frequent(&self) -> Reason {
        let mut most = REASONS.len() - 1;
        for (slot, share) in self.reasons.iter().enumerate() {
            if *share > self.reasons[most] {
                most = slot;
            }
        }
        REASONS[most]
    }

    /// All averages, one step on.
    pub(super) fn take(&mut self, raw: &Classification, kept: f32) {
        let reason = raw.decision.reason();
        let shows_labels = matches!(reason, None | Some(Reason::LowConfidence));
        self.presence *= kept;
        self.reasons.iter_mut().for_each(|share| *share *= kept);
        self.reasons[reason_slot(reason)] += 1.0 - kept;
        for label in &mut self.tracked {
            label.average *= kept;
            label.accepted *= kept;
        }
        self.tracked.retain(|label| label.average > NEGLIGIBLE);
        if !shows_labels {
            return;
        }
        self.presence += 1.0 - kept;
        let accepted = raw.decision.accepted();
        let limit = accepted.map_or(self.unaccepted_limit, |_| 1.0);
        let candidates = raw.top.iter().take(MAX_CANDIDATES);
        let of_all = candidates.filter_map(|near| {
            let probability = near.probability?;
            Some((near.index, &near.label, probability, true))
        });
        // One label without anything beside it has no probability: accepted or not is all there is.
        let is_listed = |index| {
            let mut listed = raw.top.iter().take(MAX_CANDIDATES);
            listed.any(|near| near.index == index && near.probability.is_some())
        };
        let unlisted = accepted.filter(|one| !is_listed(one.index)).map(|one| {
            let probability = one.confidence.unwrap_or(1.0);
            (one.index, &one.label, probability, one.confidence.is_some())
        });
        for (index, label, probability, is_relative) in of_all.chain(unlisted) {
            // A comparison that NaN fails, too.
            let probability = if probability >= 0.0 { probability } else { 0.0 };
            let is_accepted = accepted.is_some_and(|one| one.index == index);
            self.add(Tracked {
                index,
                label: Arc::clone(label),
                average: (1.0 - kept) * probability.min(limit),
                accepted: if is_accepted { 1.0 - kept } else { 0.0 },
                is_relative,
            });
        }
    }

    fn add(&mut self, new: Tracked) {
        let mut tracked = self.tracked.iter_mut();
        if let Some(known) = tracked.find(|known| known.index == new.index) {
            known.average += new.average;
            known.accepted += new.accepted;
            return;
        }
        if self.tracked.len() < MAX_TRACKED {
            self.tracked.push(new);
            return;
        }
        let least = self
            .tracked
            .iter_mut()
            .min_by(|a, b| a.average.total_cmp(&b.average));
        if let Some(least) = least.filter(|least| least.average < new.average) {
            *least = new;
        }
    }
}

impl Tracked {
    /// Whether the gate has accepted it within the memory of the averages.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted > NEGLIGIBLE
    }
}

#[cfg(test)]
impl Averages {
    pub(super) fn is_bounded(&self) -> bool {
        self.tracked.capacity() == MAX_TRACKED
            && self.tracked.iter().all(|one| one.average.is_finite())
    }
}

/// The place of a reason in [`REASONS`]; accepted frames count for the last, which is asked only where no label stands.
fn reason_slot(reason: Option<Reason>) -> usize {
    match reason {
        Some(Reason::UnusableFrame) => 0,
        Some(Reason::OutOfDistribution) => 1,
        Some(Reason::LowConfidence) => 2,
        Some(Reason::Ambiguous) => 3,
        Some(Reason::StaleCalibration) => 4,
        Some(Reason::Unsettled) | None => 5,
    }
}
