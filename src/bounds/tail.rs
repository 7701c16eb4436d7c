//! The binomial distribution's tails: sums whose terms are all positive.

use std::f64::consts::PI;

/// From here on Stirling's series is exact to a float's last digit.
const STIRLING_FROM: f64 = 16.0;

/// A further term below this share of the sum changes nothing.
const NEGLIGIBLE: f64 = 1e-18;

/// `P(X <= k)`; summed from the side on which it is small, so that no digits cancel.
pub(super) fn lower_tail(k: usize, n: usize, p: f64) -> f64 {
    if k >= n {
        1.0
    } else if (k as f64) < n as f64 * p {
        sum_down(k as f64, n as f64, p, 1.0 - p)
    } else {
        1.0 - sum_down((n - k - 1) as f64, n as f64, 1.0 - p, p)
    }
}

/// `P(X >= k)`: the lower tail of the trials that were no event.
pub(super) fn upper_tail(k: usize, n: usize, p: f64) -> f64 {
    if k == 0 {
        1.0
    } else if k as f64 > n as f64 * p {
        sum_down((n - k) as f64, n as f64, 1.0 - p, p)
    } else {
        1.0 - sum_down((k - 1) as f64, n as f64, p, 1.0 - p)
    }
}

/// The sum of the probabilities of `k`, `k - 1`, ... 0 events, each from the one before, until they vanish.
fn sum_down(k: f64, n: f64, p: f64, q: f64) -> f64 {
    let mut term = probability(k, n, p, q);
    let (mut sum, mut j) = (term, k);
    while j > 0.0 && term > sum * NEGLIGIBLE {
        term *= j / (n - j + 1.0) * (q / p);
        sum += term;
        j -= 1.0;
    }
    sum.min(1.0)
}

/// `P(X = k)`, where `q` is `1 - p`, by Loader's saddle-point expansion (Loader 2000, "Fast and accurate computation
/// of binomial probabilities", equations 2 to 4): no factorial of a large number, so nothing cancels.
fn probability(k: f64, n: f64, p: f64, q: f64) -> f64 {
    if p == 0.0 || q == 0.0 {
        let certain = if p == 0.0 { 0.0 } else { n };
        return if k == certain { 1.0 } else { 0.0 };
    }
    if k == 0.0 {
        return (n * if p < 0.5 { (-p).ln_1p() } else { q.ln() }).exp();
    }
    if k == n {
        return (n * if q < 0.5 { (-q).ln_1p() } else { p.ln() }).exp();
    }
    let logarithm = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(k, n * p)
        - deviance(n - k, n * q);
    logarithm.exp() * (n / (2.0 * PI * k * (n - k))).sqrt()
}

/// `ln n! - ln(sqrt(2 π n) (n / e)^n)` for a whole `n` of at least 1.
fn stirling_error(n: f64) -> f64 {
    if n < STIRLING_FROM {
        let factorial: f64 = (1..=n as u32).map(f64::from).product();
        return factorial.ln() - (0.5 * (2.0 * PI * n).ln() + n * n.ln() - n);
    }
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / n
}

/// `x ln(x / m) + m - x`: as written far from `m`, as a series near it, where the three terms cancel.
fn deviance(x: f64, m: f64) -> f64 {
    let ratio = (x - m) / (x + m);
    if ratio.abs() >= 0.1 {
        return x * (x / m).ln() + m - x;
    }
    let mut sum = (x - m) * ratio;
    let (mut power, mut odd) = (2.0 * x * ratio, 1.0);
    loop {
        power *= ratio * ratio;
        odd += 2.0;
        let next = sum + power / odd;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}
