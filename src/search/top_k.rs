//! The k largest of a stream of cosines, in a bounded buffer.
//!
//! What is not below the k-th largest so far is put behind the others; when the buffer has doubled, a selection cuts
//! it down again. That costs a comparison a row and, in all, a few selections of k; nothing is as long as the bank.

use std::cmp::Ordering;

/// Room beside the k, so that small k are not selected all the time.
const ROOM: usize = 64;

/// A row and its cosine, which may be off by the margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) row: u32,
    pub(crate) cosine: f32,
    margin: f32,
}

impl Candidate {
    /// Larger cosines first, and of equal ones the lower row.
    fn order(a: &Self, b: &Self) -> Ordering {
        b.cosine.total_cmp(&a.cosine).then(a.row.cmp(&b.row))
    }

    fn at_least(&self) -> f32 {
        self.cosine - self.margin
    }

    fn at_most(&self) -> f32 {
        self.cosine + self.margin
    }
}

/// The k largest, or all that may be among them where cosines have margins.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TopK {
    k: usize,
    exact: bool,
    found: Vec<Candidate>,
    threshold: f32,
    full: usize,
}

impl TopK {
    /// Forgets what was found, but not its buffer; `exact` says that all margins are 0.
    pub(crate) fn begin(&mut self, k: usize, exact: bool) {
        self.found.clear();
        self.k = k;
        self.exact = exact;
        self.threshold = f32::NEG_INFINITY;
        self.full = 2 * k + ROOM;
    }

    /// Cosines of the rows from `first` on, and the margin of each. NaN is never taken.
    pub(crate) fn offer(
        &mut self,
        first: usize,
        cosines: &[f32],
        margins: impl Iterator<Item = f32>,
    ) {
        for ((row, &cosine), margin) in (first as u32..).zip(cosines).zip(margins) {
            let candidate = Candidate {
                row,
                cosine,
                margin,
            };
            if candidate.at_most() >= self.threshold {
                self.found.push(candidate);
                if self.found.len() >= self.full {
                    self.cut();
                }
            }
        }
    }

    /// What another part of the same rows found.
    pub(crate) fn join(&mut self, other: &Self) {
        self.found.extend_from_slice(&other.found);
    }

    /// The candidates, in no order: k where they are exact and there are as many.
    pub(crate) fn candidates(&mut self) -> &mut Vec<Candidate> {
        self.cut();
        &mut self.found
    }

    /// The k largest candidates, largest first, of equal ones the lower row first.
    pub(crate) fn sorted(&mut self) -> &[Candidate] {
        self.exact = true;
        self.cut();
        self.found.sort_unstable_by(Candidate::order);
        &self.found
    }

    fn cut(&mut self) {
        if self.k == 0 {
            self.found.clear();
        }
        if self.found.len() > self.k {
            let last = self.k.saturating_sub(1);
            if self.exact {
                self.found.select_nth_unstable_by(last, Candidate::order);
                self.threshold = self.found[last].cosine;
                self.found.truncate(self.k);
            } else {
                let by_least = |a: &Candidate, b: &Candidate| b.at_least().total_cmp(&a.at_least());
                self.found.select_nth_unstable_by(last, by_least);
                let threshold = self.found[last].at_least();
                self.found
                    .retain(|candidate| candidate.at_most() >= threshold);
                self.threshold = threshold;
            }
        }
        self.full = 2 * self.found.len().max(self.k) + ROOM;
    }
}

/// Rows of the `n` largest cosines, largest first, of equal ones the lower row first, into `rows`.
pub(crate) fn top_rows(cosines: &[f32], n: usize, rows: &mut Vec<usize>) {
    let order = |a: &usize, b: &usize| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b));
    let cut = |rows: &mut Vec<usize>| {
        rows.select_nth_unstable_by(n - 1, order);
        rows.truncate(n);
    };
    rows.clear();
    if n == 0 {
        return;
    }
    let mut threshold = f32::NEG_INFINITY;
    for (row, &cosine) in cosines.iter().enumerate() {
        // An equal one that comes later is never taken before the n that are there.
        if cosine > threshold {
            rows.push(row);
            if rows.len() >= n.saturating_mul(2).saturating_add(ROOM) {
                cut(rows);
                threshold = cosines[rows[n - 1]];
            }
        }
    }
    if rows.len() > n {
        cut(rows);
    }
    rows.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use std::iter::repeat;

    use super::*;

    /// Numbers with many ties, in an order that looks random.
    fn cosines(count: usize, different: usize) -> Vec<f32> {
        (0..count)
            .map(|at| (at * 7919 % different) as f32 / different as f32)
            .collect()
    }

    fn expected(cosines: &[f32], k: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..cosines.len()).collect();
        rows.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]));
        rows.truncate(k);
        rows
    }

    #[test]
    fn both_ways_sort_as_a_stable_sort_does() {
        let (mut top, mut rows) = (TopK::default(), Vec::new());
        for different in [1, 3, 100, 4999] {
            let cosines = cosines(5000, different);
            for k in [0, 1, 2, 5, 64, 1000, 5000, 6000] {
                top.begin(k, true);
                for (block, part) in cosines.chunks(256).enumerate() {
                    top.offer(256 * block, part, repeat(0.0));
                }
                let found: Vec<usize> = top.sorted().iter().map(|c| c.row as usize).collect();
                assert_eq!(found, expected(&cosines, k), "{k} of {different}");
                top_rows(&cosines, k, &mut rows);
                assert_eq!(rows, expected(&cosines, k), "{k} of {different}");
            }
        }
    }

    #[test]
    fn parts_join_to_the_whole() {
        let cosines = cosines(999, 50);
        let (mut first, mut second) = (TopK::default(), TopK::default());
        first.begin(7, true);
        second.begin(7, true);
        first.offer(0, &cosines[..400], repeat(0.0));
        second.offer(400, &cosines[400..], repeat(0.0));
        first.join(&second);
        let found: Vec<usize> = first.sorted().iter().map(|c| c.row as usize).collect();
        assert_eq!(found, expected(&cosines, 7));
    }

    #[test]
    fn margins_keep_all_that_may_be_among_the_largest() {
        let cosines = cosines(5000, 5000);
        let mut top = TopK::default();
        top.begin(10, false);
        top.offer(0, &cosines, repeat(0.005));
        let mut found: Vec<usize> = top.candidates().iter().map(|c| c.row as usize).collect();
        found.sort_unstable();
        let last = cosines[expected(&cosines, 10)[9]];
        let near: Vec<usize> = (0..5000)
            .filter(|&row| cosines[row] >= last - 0.00999)
            .collect();
        assert_eq!(found, near);
    }

    #[test]
    fn nan_is_never_found() {
        let cosines = [f32::NAN, 0.5, f32::NAN, 0.7];
        let (mut top, mut rows) = (TopK::default(), Vec::new());
        top.begin(4, true);
        top.offer(0, &cosines, repeat(0.0));
        assert_eq!(top.sorted().len(), 2);
        top_rows(&cosines, 4, &mut rows);
        assert_eq!(rows, [3, 1]);
    }
}
