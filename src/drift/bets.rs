//! The bets of a drift monitor: a supermartingale under every distribution in the band.

use super::DriftDirection;
use super::reference::DriftReference;

/// How much more frequent than the band admits an event becomes in the alternatives that are betted on, as a share of
/// what is left to 1. The first notices small shifts, the last large ones within few frames.
const ALTERNATIVES: [f64; 3] = [0.1, 0.3, 0.7];

/// Share of the stake that bets from the first frame on: a camera is often wrong from the start.
const FIRST_STAKE: f64 = 0.5;

/// Frames that the stake for later starts is spread over: of that stake, one half is left after the square of this
/// number of frames.
const START_SCALE: f64 = 100.0;

/// All bets, and how many scores they have been settled on.
#[derive(Clone, Debug)]
pub(super) struct Bets {
    bets: Vec<Bet>,
    settled: u64,
}

/// That an event which the band says is rare is more frequent in the stream.
///
/// With `p` the largest probability of the event under any distribution in the band and `q > p` an alternative, the
/// wealth is multiplied by `q / p` when the event happens and by `(1 - q) / (1 - p)` when it does not.
#[derive(Clone, Debug)]
struct Bet {
    /// The event: a score at most this (`Lower`), or above it (`Higher`).
    threshold: f32,
    direction: DriftDirection,
    on_event: f64,
    otherwise: f64,
    /// Of all starts so far, each multiplied since: `Σ_τ stake_τ Π_(i >= τ) factor_i`, in one number, because all
    /// starts share their factors from then on.
    wealth: f64,
}

impl Bets {
    /// Bets on every quantile of `reference` from both sides, against the band of half-width `radius` around its
    /// distribution. At least one, as `radius` is below 1.
    pub(super) fn new(reference: &DriftReference, radius: f64) -> Self {
        let mut bets = Vec::new();
        if let Some((smallest, _)) = reference.quantiles().next() {
            let below_all = smallest.next_down();
            bets.extend(Bet::against(below_all, DriftDirection::Lower, radius));
        }
        for (score, at_most) in reference.quantiles() {
            let share = at_most as f64 / reference.n() as f64;
            bets.extend(Bet::against(score, DriftDirection::Lower, share + radius));
            bets.extend(Bet::against(
                score,
                DriftDirection::Higher,
                1.0 - share + radius,
            ));
        }
        Self { bets, settled: 0 }
    }

    /// On how many scores the bets have been settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Settles all bets on one score. NaN counts as lower than every score.
    pub(super) fn settle(&mut self, score: f32) {
        let stake = stake(self.settled) / self.bets.len() as f64;
        self.settled += 1;
        for bet in &mut self.bets {
            bet.wealth = (bet.wealth + stake) * bet.factor(score);
        }
    }

    /// What has become of a stake of 1, what is not yet betted included.
    pub(super) fn wealth(&self) -> f64 {
        let betted: f64 = self.bets.iter().map(|bet| bet.wealth).sum();
        betted + reserve(self.settled)
    }

    /// The side whose bets have won more.
    pub(super) fn direction(&self) -> DriftDirection {
        let won = |direction| -> f64 {
            let of_side = self.bets.iter().filter(|bet| bet.direction == direction);
            of_side.map(|bet| bet.wealth).sum()
        };
        if won(DriftDirection::Lower) >= won(DriftDirection::Higher) {
            DriftDirection::Lower
        } else {
            DriftDirection::Higher
        }
    }

    pub(super) fn reset(&mut self) {
        self.settled = 0;
        for bet in &mut self.bets {
            bet.wealth = 0.0;
        }
    }
}

impl Bet {
    /// The bets on one event whose probability is at most `largest`; none if it may be certain.
    fn against(
        threshold: f32,
        direction: DriftDirection,
        largest: f64,
    ) -> impl Iterator<Item = Self> {
        let possible = largest < 1.0;
        let alternatives = ALTERNATIVES.into_iter().filter(move |_| possible);
        alternatives.map(move |share| Self {
            threshold,
            direction,
            on_event: (largest + share * (1.0 - largest)) / largest,
            otherwise: 1.0 - share,
            wealth: 0.0,
        })
    }

    fn factor(&self, score: f32) -> f64 {
        // Written so that NaN is not higher.
        let is_higher = score > self.threshold;
        if is_higher == (self.direction == DriftDirection::Higher) {
            self.on_event
        } else {
            self.otherwise
        }
    }
}

/// What is not yet betted after `settled` scores. It falls as slowly as `1 / ln`, so that a stream that drifts late
/// still meets a stake.
fn reserve(settled: u64) -> f64 {
    if settled == 0 {
        return 1.0;
    }
    (1.0 - FIRST_STAKE) * START_SCALE.ln() / (START_SCALE + settled as f64).ln()
}

/// What is newly betted on the score after `settled` others: `reserve(settled) - reserve(settled + 1)`, written
/// without the cancellation.
fn stake(settled: u64) -> f64 {
    let before = START_SCALE + settled as f64;
    let later = (1.0 - FIRST_STAKE) * START_SCALE.ln() * before.recip().ln_1p()
        / (before.ln() * (before + 1.0).ln());
    if settled == 0 {
        FIRST_STAKE + later
    } else {
        later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bet_is_fair_at_the_largest_probability_and_loses_below() {
        for largest in [1e-9, 0.05, 0.5, 0.95, 1.0 - 1e-9] {
            for bet in Bet::against(0.0, DriftDirection::Lower, largest) {
                let mean = |p: f64| p * bet.factor(-1.0) + (1.0 - p) * bet.factor(1.0);
                assert!((mean(largest) - 1.0).abs() < 1e-12, "{largest}: {bet:?}");
                assert!(mean(0.9 * largest) < 1.0);
                assert!(mean(0.0) >= 0.0);
            }
        }
        assert_eq!(Bet::against(0.0, DriftDirection::Lower, 1.0).count(), 0);
    }

    #[test]
    fn what_is_betted_and_what_is_kept_make_one() {
        let mut betted = 0.0;
        for settled in 0..100_000 {
            betted += stake(settled);
            let total = betted + reserve(settled + 1);
            assert!((total - 1.0).abs() < 1e-12, "{settled}: {total}");
        }
        assert!(stake(1 << 60) > 0.0);
    }
}
