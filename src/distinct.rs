//! Finds two of very many things that are equal, in 16 bytes a thing.

use std::cmp::Ordering;

/// The first two equal ones, the earlier place first; `hashes` are of all in order, and `compare` tells by place those
/// apart whose hashes agree. Equal hashes are sorted, so that hashes that were made to agree cost little more.
pub(crate) fn repeated(
    hashes: impl Iterator<Item = u64>,
    compare: impl Fn(usize, usize) -> Ordering,
) -> Option<(usize, usize)> {
    let mut places: Vec<(u64, u32)> = hashes.zip(0u32..).collect();
    places.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| compare(a.1 as usize, b.1 as usize))
            .then(a.1.cmp(&b.1))
    });
    places
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| (pair[0].1 as usize, pair[1].1 as usize))
        .filter(|(a, b)| compare(*a, *b) == Ordering::Equal)
        .min_by_key(|(_, later)| *later)
}

/// A hash of a row's bytes at the speed of memory; not one that resists whoever wants collisions.
pub(crate) fn hash_of_row(bytes: &[u8]) -> u64 {
    // The multiplier of PCG's generators.
    let mix = |hash: u64, word: u64| {
        (hash ^ word)
            .wrapping_mul(6_364_136_223_846_793_005)
            .rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words
        .iter()
        .fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repetition_is_found_among_equal_hashes() {
        let names = ["d", "b", "c", "b", "a", "d"];
        let compare = |a: usize, b: usize| names[a].cmp(names[b]);
        let found = |hash: fn(usize) -> u64, count| repeated((0..count).map(hash), compare);
        assert_eq!(found(|_| 7, 6), Some((1, 3)));
        assert_eq!(found(|_| 7, 3), None);
        assert_eq!(found(|place| place as u64 % 2, 6), Some((1, 3)));
    }

    #[test]
    fn every_byte_of_a_row_counts() {
        let row: Vec<u8> = (0..19).collect();
        for place in 0..row.len() {
            let mut other = row.clone();
            other[place] ^= 0x80;
            assert_ne!(hash_of_row(&row), hash_of_row(&other), "{place}");
        }
    }
}
