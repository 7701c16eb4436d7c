//! The bets of a drift monitor: a supermartingale under every distribution in the band.

use super::DriftDirection;
use super::reference::DriftReference;

/// How much more frequent than the band admits an event becomes, as a share of what is left to 1, in the
/// alternatives that are betted on. The first notices small shifts slowly, the last large shifts within frames.
const ALTERNATIVES: [f64; 4] = [0.1, 0.25, 0.5, 0.9];

/// Share of the stake that bets from the first frame on; the rest is spread over all later starts.
const FIRST_STAKE: f64 = 0.5;

/// After how many frames the stake that is spread over later starts begins to run out; half of it is left after the
/// square of this number.
const START_SCALE: f64 = 100.0;

/// Bets that an event which the band says is rare is more frequent in the stream.
///
/// With `p` the largest probability of the event under any distribution in the band and `q > p` an alternative, a bet
/// multiplies by `q / p` when the event happens and by `(1 - q) / (1 - p)` when it does not. Its expectation grows
/// with the event's probability and is 1 at `p`: at most 1 under every distribution in the band.
#[derive(Clone, Debug)]
struct Bet {
    threshold: f32,
    direction: DriftDirection,
    on_event: f64,
    otherwise: f64,
    wealth: f64,
}

/// All bets and what is not yet betted: together the wealth, which is 1 at the beginning.
#[derive(Clone, Debug)]
pub(super) struct Bets {
    bets: Vec<Bet>,
    compared: u64,
}

impl Bets {
    /// Bets on every quantile of `reference`, from both sides, against the band of half-width `radius` around its
    /// distribution. Empty if the band leaves room for none.
    pub(super) fn new(reference: &DriftReference, radius: f64) -> Self {
        let n = reference.n() as f64;
        let mut bets = Vec::new();
        let mut add = |threshold, direction, share: f64| {
            let largest = share + radius;
            if largest >= 1.0 {
                return;
            }
            for alternative in ALTERNATIVES {
                let alternative = largest + alternative * (1.0 - largest);
                bets.push(Bet {
                    threshold,
                    direction,
                    on_event: alternative / largest,
                    otherwise: (1.0 - alternative) / (1.0 - largest),
                    wealth: 0.0,
                });
            }
        };
        if let Some((smallest, _)) = reference.quantiles().next() {
            add(smallest.next_down(), DriftDirection::Lower, 0.0);
        }
        for (score, at_most) in reference.quantiles() {
            let at_most = at_most as f64 / n;
            add(score, DriftDirection::Lower, at_most);
            add(score, DriftDirection::Higher, 1.0 - at_most);
        }
        Self { bets, compared: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bets.is_empty()
    }

    pub(super) fn compared(&self) -> u64 {
        self.compared
    }

    /// Settles all bets on one score. NaN counts as lower than every score.
    pub(super) fn settle(&mut self, score: f32) {
        let stake = stake(self.compared) / self.bets.len() as f64;
        self.compared += 1;
        for bet in &mut self.bets {
            let is_higher = score > bet.threshold;
            let happened = is_higher == (bet.direction == DriftDirection::Higher);
            let factor = if happened {
                bet.on_event
            } else {
                bet.otherwise
            };
            bet.wealth = (bet.wealth + stake) * factor;
        }
    }

    /// What has become of a stake of 1.
    pub(super) fn wealth(&self) -> f64 {
        let betted: f64 = self.bets.iter().map(|bet| bet.wealth).sum();
        betted + reserve(self.compared)
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
        self.compared = 0;
        for bet in &mut self.bets {
            bet.wealth = 0.0;
        }
    }
}

/// What is not yet betted after `compared` scores: it falls as slowly as 1 / ln.
fn reserve(compared: u64) -> f64 {
    if compared == 0 {
        return 1.0;
    }
    (1.0 - FIRST_STAKE) * START_SCALE.ln() / (START_SCALE + compared as f64).ln()
}

/// What is newly betted on the score after `compared` others: `reserve(compared) - reserve(compared + 1)`, without
/// the cancellation.
fn stake(compared: u64) -> f64 {
    let before = START_SCALE + compared as f64;
    let spread = (1.0 - FIRST_STAKE) * START_SCALE.ln() * before.recip().ln_1p()
        / (before.ln() * (before + 1.0).ln());
    if compared == 0 {
        FIRST_STAKE + spread
    } else {
        spread
    }
}
