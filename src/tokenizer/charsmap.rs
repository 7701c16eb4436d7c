//! SentencePiece's compiled character map: a length in bytes, a trie of 32-bit units (darts-clone), and the
//! replacements, each ended by a zero byte.
//!
//! `spm_precompiled` follows the trie without a bound and cuts the replacements where a leaf says, so both are
//! checked here first.

use crate::{Error, Result};

/// Units that the children of one node lie among: a byte chooses one.
const BLOCK: usize = 256;

/// One unit of the trie.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    /// Whether the unit is a leaf, which holds a value and leads nowhere.
    fn is_leaf(self) -> bool {
        self.0 >> 31 == 1
    }

    /// Whether a leaf lies at the beginning of the node's children.
    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    fn value(self) -> usize {
        (self.0 & 0x7fff_ffff) as usize
    }

    /// What the unit's own place is combined with to find its children.
    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }
}

/// Refuses a map, in base 64, whose trie leaves its bounds or whose leaves do not begin a replacement.
pub(super) fn check(base64: &str) -> Result<()> {
    let refused = |rule: &str| Err(Error::bundle(format!("tokenizer's character map {rule}")));
    let bytes = base64::decode(base64).map_err(|error| {
        Error::bundle("tokenizer's character map is not base 64").with_source(error)
    })?;
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return refused("has no length");
    };
    let length = u32::from_le_bytes(*length) as usize;
    let Some((trie, replacements)) = rest.split_at_checked(length) else {
        return refused("is shorter than it says");
    };
    let (units, rest) = trie.as_chunks::<4>();
    if units.is_empty() || !units.len().is_multiple_of(BLOCK) || !rest.is_empty() {
        return refused("has a trie of no whole blocks");
    }
    let Ok(replacements) = std::str::from_utf8(replacements) else {
        return refused("has replacements that are not UTF-8");
    };
    let unit = |at: usize| units.get(at).map(|bytes| Unit(u32::from_le_bytes(*bytes)));
    for at in 0..units.len() {
        let Some(node) = unit(at).filter(|unit| !unit.is_leaf()) else {
            continue;
        };
        // Blocks are whole: where one child is within the trie, all are.
        let Some(first) = unit(at ^ node.offset()) else {
            return refused("leads out of its trie");
        };
        if node.has_leaf() && !replacements.is_char_boundary(first.value()) {
            return refused("names a replacement that is not there");
        }
    }
    Ok(())
}
