//! The nearest of very many labels, without scores of all of them.

use std::iter::repeat;
use std::thread;

use crate::bank::LabelBank;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::search::{BLOCK, Candidate, QuantizedImage, QuantizedRows, TopK, cosines};
use crate::session::MAX_THREADS;

/// Finds the labels that are nearest to an image, in one pass over a bank's rows: for an index of a million names,
/// say, of which only the first few matter. A [`Scorer`](crate::Scorer) also tells probabilities, which takes all cosines.
///
/// Its buffers are used again for the next image, so that with one thread nothing is allocated after the first.
///
/// ```
/// use clipgate::{Embedding, Label, LabelBank, LabelSearch};
///
/// let labels = vec![Label::new("cat")?, Label::new("dog")?, Label::new("cow")?];
/// let bank = LabelBank::new(labels, vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2)?;
/// let mut search = LabelSearch::new(1)?;
/// let nearest = search.nearest(&Embedding::new(&[1.0, 0.1])?, &bank, 2)?;
/// assert_eq!([nearest[0].index, nearest[1].index], [0, 2]);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Debug)]
pub struct LabelSearch {
    image: QuantizedImage,
    parts: Vec<Part>,
    nearest: Vec<Neighbor>,
}

/// A label near an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// Row of the label in its bank.
    pub index: usize,
    /// Cosine, -1 to 1.
    pub similarity: f32,
}

/// What one thread found in its share of the rows.
#[derive(Clone, Debug)]
struct Part {
    top: TopK,
    cosines: [f32; BLOCK],
    is_searched: bool,
}

impl LabelSearch {
    /// A search by `threads` threads: one is often enough to keep the memory busy, and two always are on small boards.
    /// More than one are started anew for each image; where the system has none, the calling thread does their part.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `threads` is 0 or more than [`MAX_THREADS`].
    pub fn new(threads: usize) -> Result<Self> {
        if threads == 0 || threads > MAX_THREADS {
            return Err(Error::caller(format!(
                "{threads} threads; 1 to {MAX_THREADS} are possible"
            )));
        }
        let part = Part {
            top: TopK::default(),
            cosines: [0.0; BLOCK],
            is_searched: false,
        };
        Ok(Self {
            image: QuantizedImage::default(),
            parts: vec![part; threads],
            nearest: Vec::new(),
        })
    }

    /// The `k` nearest labels, nearest first, of equally near ones the first in the bank first; all where it has fewer.
    ///
    /// From f32 rows they are exact. Of int8 rows beside f32 rows, those labels are compared in f32 that may be among
    /// the nearest with rounding errors that one row in 10^13 exceeds. Int8 rows alone give
    /// the nearest by their own cosines, off by 0.0002 or so for CLIP ViT-B/32's texts: of 2,421 names the first is
    /// another one for 1 % of 2,000 photos, and of the first five 1 % are.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the bank's dimension is not the embedding's;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the bank's mapped file was changed.
    pub fn nearest(
        &mut self,
        image: &Embedding,
        bank: &LabelBank,
        k: usize,
    ) -> Result<&[Neighbor]> {
        bank.check_dimension(image.dimension())?;
        let image = image.as_slice();
        let k = k.min(bank.labels().len());
        let exact = bank.exact_labels();
        if let Some(int8) = bank.quantized_labels() {
            self.image.assign(image, int8);
        }
        let quantized = &self.image;
        let compare = |first: usize, into: &mut [f32]| match (bank.quantized_labels(), exact) {
            (Some(int8), _) => int8.cosines(quantized, first, into),
            (None, Some(rows)) => cosines(&rows[first * image.len()..], image, into),
            (None, None) => into.fill(f32::NAN),
        };
        let rounded = match (bank.quantized_labels(), exact) {
            (Some(int8), Some(_)) => Some((int8, quantized)),
            _ => None,
        };
        let rows = bank.labels().len();
        match self.parts.as_mut_slice() {
            [whole] => whole.search(0..rows, k, rounded, compare),
            parts => {
                let share = rows.div_ceil(parts.len());
                let range = |at: usize| (at * share).min(rows)..((at + 1) * share).min(rows);
                thread::scope(|scope| {
                    for (at, part) in parts.iter_mut().enumerate() {
                        part.is_searched = false;
                        let search = move || part.search(range(at), k, rounded, compare);
                        // Where no thread can be had, the part is searched below.
                        let _ = thread::Builder::new().spawn_scoped(scope, search);
                    }
                });
                for (at, part) in parts.iter_mut().enumerate() {
                    if !part.is_searched {
                        part.search(range(at), k, rounded, compare);
                    }
                }
            }
        }
        self.nearest.clear();
        let Some((whole, others)) = self.parts.split_first_mut() else {
            return Ok(&self.nearest);
        };
        for other in others {
            whole.top.join(&other.top);
        }
        if let (Some(rows), Some(_)) = (exact, bank.quantized_labels()) {
            for candidate in whole.top.candidates() {
                let row = &rows[candidate.row as usize * image.len()..][..image.len()];
                cosines(row, image, std::slice::from_mut(&mut candidate.cosine));
            }
        }
        let found = whole.top.sorted().iter();
        self.nearest.extend(found.map(|found: &Candidate| Neighbor {
            index: found.row as usize,
            similarity: found.cosine,
        }));
        bank.check_unchanged()?;
        Ok(&self.nearest)
    }
}

impl Part {
    fn search(
        &mut self,
        rows: std::ops::Range<usize>,
        k: usize,
        rounded: Option<(&QuantizedRows, &QuantizedImage)>,
        compare: impl Fn(usize, &mut [f32]),
    ) {
        self.top.begin(k, rounded.is_none());
        for first in rows.clone().step_by(BLOCK) {
            let cosines = &mut self.cosines[..BLOCK.min(rows.end - first)];
            compare(first, cosines);
            match rounded {
                Some((int8, image)) => self.top.offer(first, cosines, int8.margins(image, first)),
                None => self.top.offer(first, cosines, repeat(0.0)),
            }
        }
        self.is_searched = true;
    }
}
