//! What the exit status says.

use std::process::ExitCode;

/// How a command ended. An abstention is an answer: it fails only where the user asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Every input was answered, accepted or abstained.
    Answered,
    /// A check that was asked for failed (`verify`, `classify --fail-on-abstain`).
    CheckFailed,
    /// At least one input or the command itself met an error; the other inputs were still answered.
    Failed,
}

impl Outcome {
    /// The graver of the two.
    pub(crate) fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Answered => 0,
            Outcome::CheckFailed => 1,
            Outcome::Failed => 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_wins_over_a_failed_check() {
        assert_eq!(Outcome::CheckFailed.and(Outcome::Failed), Outcome::Failed);
        assert_eq!(
            Outcome::CheckFailed.and(Outcome::Answered),
            Outcome::CheckFailed
        );
    }
}
