//! Which images fit, and which certify.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows that fit temperature, score and cut, and rows that certify the threshold; every row is in one of them, each
/// in ascending order.
///
/// Each label's rows are shuffled and cut at `fraction`, so that both halves show the labels in the same mix. Rounding
/// is carried from label to label, in an order that is shuffled too, so that many labels of few images keep the fraction
/// and each has its chance in either half. The same labels, fraction and seed give the same halves on every machine.
///
/// As both halves show the mix that the folder happens to have, the first says a little of the second. The share of wrong
/// answers varies less for it than between the independent draws that a binomial tail reckons with: in trials promises
/// break less often than they may (see the chapter on the gate).
///
/// ```
/// let (fits, certifies) = clipgate::fit::stratified(&[0, 0, 0, 0, 1, 1, 1, 1], 0.5, 7);
/// assert_eq!((fits.len(), certifies.len()), (4, 4));
/// assert_eq!(fits.iter().filter(|row| **row < 4).count(), 2);
/// ```
pub fn stratified(labels: &[usize], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    rows.sort_by_key(|&row| labels[row]);
    let (mut fits, mut certifies) = (Vec::new(), Vec::new());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut by_label: Vec<&mut [usize]> =
        rows.chunk_by_mut(|&a, &b| labels[a] == labels[b]).collect();
    by_label.shuffle(&mut random);
    let mut owed = 0.0;
    for of_label in by_label {
        of_label.shuffle(&mut random);
        owed += fraction * of_label.len() as f64;
        let taken = (owed.round().max(0.0) as usize).min(of_label.len());
        owed -= taken as f64;
        let (fit, certify) = of_label.split_at(taken);
        fits.extend_from_slice(fit);
        certifies.extend_from_slice(certify);
    }
    fits.sort_unstable();
    certifies.sort_unstable();
    (fits, certifies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_show_every_label_in_the_same_mix() {
        let labels: Vec<usize> = (0..300).map(|row| row % 3).collect();
        let (fits, certifies) = stratified(&labels, 0.3, 7);
        assert_eq!((fits.len(), certifies.len()), (90, 210));
        for label in 0..3 {
            assert_eq!(fits.iter().filter(|row| labels[**row] == label).count(), 30);
        }
        let mut all = [fits.as_slice(), &certifies].concat();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let labels = [0; 50];
        assert_eq!(stratified(&labels, 0.5, 1), stratified(&labels, 0.5, 1));
        assert_ne!(stratified(&labels, 0.5, 1), stratified(&labels, 0.5, 2));
    }

    #[test]
    fn labels_of_one_image_keep_the_fraction_together_and_each_has_its_chance() {
        let labels: Vec<usize> = (0..100).collect();
        let mut times = [0; 100];
        for seed in 0..400 {
            let (fits, _) = stratified(&labels, 0.3, seed);
            assert_eq!(fits.len(), 30);
            fits.iter().for_each(|row| times[*row] += 1);
        }
        // 120 each, with a standard deviation of 9.
        assert!(times.iter().all(|times| (80..=160).contains(times)));
        assert_eq!(stratified(&[], 0.3, 0), (vec![], vec![]));
    }
}
