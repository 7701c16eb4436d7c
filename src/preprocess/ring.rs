//! The rows that a filter looks at while it walks down a picture.

use std::ops::Range;

use super::convolve::{BLOCK_ROWS, Filter};
use crate::error::Result;

/// Rows that a ring takes beyond a window's: the more, the more seldom it moves its content.
const SLACK_ROWS: usize = 28;

/// Consecutive rows; old ones make room for new ones.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    stride: usize,
}

impl Ring {
    /// For windows of up to `longest` rows, `stride` bytes from row to row.
    pub(super) fn new(longest: usize, stride: usize) -> Self {
        let rows = longest + SLACK_ROWS;
        Self {
            bytes: vec![0; rows * stride],
            stride,
        }
    }

    /// Hands each output's window of rows to `emit`, `lead` rows lower than the filter says.
    ///
    /// `fill` writes the rows of a range, which begins and ends at a multiple of [`BLOCK_ROWS`] and may reach beyond
    /// the picture's end.
    pub(super) fn walk(
        &mut self,
        filter: &Filter,
        lead: usize,
        mut fill: impl FnMut(Range<usize>, &mut [u8]) -> Result<()>,
        mut emit: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let capacity = self.bytes.len() / self.stride;
        let (mut first, mut end) = (0, 0);
        for at in filter.downwards() {
            let window = filter.window(at);
            let (start, last) = (window.start + lead, window.end + lead);
            if last > end {
                let kept = end.saturating_sub(start);
                let from = (end - kept - first) * self.stride;
                self.bytes.copy_within(from..from + kept * self.stride, 0);
                first = end - kept;
                let more = (capacity - kept) / BLOCK_ROWS * BLOCK_ROWS;
                let slots = &mut self.bytes[kept * self.stride..(kept + more) * self.stride];
                fill(end..end + more, slots)?;
                end += more;
            }
            emit(at, &self.bytes[(start - first) * self.stride..]);
        }
        Ok(())
    }
}
