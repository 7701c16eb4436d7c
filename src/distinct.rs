//! Finds two of very many things that are equal, in 16 bytes a thing.

/// The first two equal ones, the earlier place first; `hashes` are of all in order, and `key` tells by place those apart
/// whose hashes agree. Keys are sorted, so that hashes that were made to agree cost little more; each is asked for once,
/// so that things that change meanwhile have one order all the same.
pub(crate) fn repeated<K: Ord>(
    hashes: impl Iterator<Item = u64>,
    key: impl Fn(usize) -> K,
) -> Option<(usize, usize)> {
    let mut places: Vec<(u64, u32)> = hashes.zip(0u32..).collect();
    places.sort_unstable();
    let agreeing = places.chunk_by(|a, b| a.0 == b.0);
    agreeing
        .filter(|places| places.len() > 1)
        .filter_map(|places| {
            let places = places.iter().map(|(_, place)| *place as usize);
            let mut keys: Vec<(K, usize)> = places.map(|place| (key(place), place)).collect();
            keys.sort_unstable();
            keys.windows(2)
                .filter(|pair| pair[0].0 == pair[1].0)
                .map(|pair| (pair[0].1, pair[1].1))
                .min_by_key(|(_, later)| *later)
        })
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
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_first_repetition_is_found_among_equal_hashes() {
        let names = ["d", "b", "c", "b", "a", "d"];
        let found =
            |hash: fn(usize) -> u64, count| repeated((0..count).map(hash), |place| names[place]);
        assert_eq!(found(|_| 7, 6), Some((1, 3)));
        assert_eq!(found(|_| 7, 3), None);
        assert_eq!(found(|place| place as u64 % 2, 6), Some((1, 3)));
    }

    #[test]
    fn things_that_change_meanwhile_have_one_order() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let rng = std::cell::RefCell::new(&mut rng);
        let _ = repeated((0..10_000).map(|_| 7), |_| {
            rng.borrow_mut().random_range(0..1_000_000)
        });
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
