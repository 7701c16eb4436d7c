//! Figures as people read them.

use clipgate::evaluate::{Estimate, Metric};

/// Between a number and its percent sign: a line never breaks there.
const NARROW: char = '\u{202f}';

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// A share as a percentage with one decimal: `70.2 %`.
pub(crate) fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{:.1}{NARROW}%", share * 100.0),
        false => NONE.to_owned(),
    }
}

/// A share in a sentence: without decimals, unless that would turn it into none or all.
pub(crate) fn about(share: f64) -> String {
    const EDGE: f64 = 0.01;
    let whole = share == 0.0 || share == 1.0 || (EDGE..=1.0 - EDGE).contains(&share);
    match share.is_finite() && whole {
        true => format!("{:.0}{NARROW}%", share * 100.0),
        false => percent(share),
    }
}

/// The ends of a share's interval: `67.9–72.4`.
pub(crate) fn percent_interval(estimate: &Estimate) -> String {
    format!("{:.1}–{:.1}", estimate.low * 100.0, estimate.high * 100.0)
}

/// A figure in its metric's own unit.
pub(crate) fn figure(metric: Metric, value: f64) -> String {
    match metric.is_share() {
        true => percent(value),
        false => plain(value),
    }
}

/// A number that is no share: three decimals.
pub(crate) fn plain(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.3}"),
        false => NONE.to_owned(),
    }
}

/// A difference with its sign, a minus sign being as wide as a plus: percentage points, or the unit itself.
pub(crate) fn signed(value: f64, share: bool) -> String {
    let text = match share {
        true => format!("{:+.1}", value * 100.0),
        false => format!("{value:+.3}"),
    };
    let zero = text
        .trim_start_matches(['+', '-'])
        .chars()
        .all(|c| matches!(c, '0' | '.'));
    match zero {
        true => text.replace(['+', '-'], "±"),
        false => text.replace('-', "−"),
    }
}

/// A p-value: three decimals, and below that only that it is below.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p => format!("{p:.3}"),
    }
}

/// A count with its thousands apart: `6,000`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounded_share_never_claims_none_or_all() {
        for (share, text) in [
            (0.0, "0\u{202f}%"),
            (0.004, "0.4\u{202f}%"),
            (0.492, "49\u{202f}%"),
            (0.996, "99.6\u{202f}%"),
            (1.0, "100\u{202f}%"),
            (f64::NAN, NONE),
        ] {
            assert_eq!(about(share), text);
        }
    }

    #[test]
    fn signs_and_thousands() {
        assert_eq!(signed(-0.0123, true), "−1.2");
        assert_eq!(signed(0.0001, true), "±0.0");
        assert_eq!(signed(0.5, false), "+0.500");
        assert_eq!(
            [0, 999, 1000, 1234567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(p_value(1e-9), "< 0.001");
    }
}
