//! What lies at or above each threshold: the counts that every ranking metric is made of.

/// Counts at or above one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Passed {
    /// The threshold: a score that occurs.
    pub(super) threshold: f32,
    pub(super) positives: usize,
    pub(super) negatives: usize,
}

/// The counts at every distinct score, largest score first; equal scores pass together. Scores are not NaN.
pub(super) fn passed(mut scored: Vec<(f32, bool)>) -> Vec<Passed> {
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps: Vec<Passed> = Vec::new();
    let (mut positives, mut negatives) = (0, 0);
    for (score, positive) in scored {
        if positive {
            positives += 1;
        } else {
            negatives += 1;
        }
        let step = Passed {
            threshold: score,
            positives,
            negatives,
        };
        match steps.last_mut() {
            Some(last) if last.threshold == score => *last = step,
            _ => steps.push(step),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_pass_together() {
        let steps = passed(vec![(0.0, true), (1.0, false), (-0.0, false), (1.0, true)]);
        let counts: Vec<_> = steps.iter().map(|s| (s.positives, s.negatives)).collect();
        assert_eq!(counts, [(1, 1), (2, 2)]);
    }
}
