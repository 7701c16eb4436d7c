//! What negatives cost a frame, and what the int8 search changes: `cargo bench --bench negatives`.
//!
//! 54 labels, random unit texts of 512 values and images that lie near some of them; one core, all scores and
//! probabilities included. "f32" is the same negatives in banks of fewer than 2,048, which are compared in f32 alone;
//! "int8" is one bank of them all. Frames alternate and the fastest of each counts, so that a busy machine disturbs
//! both alike. 10,000 negatives may add 1.5 ms. `tests/bench/negatives.py` takes NumPy's time for the products alone.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use clipgate::{Embedding, Label, LabelBank, OodScores, Scorer, Scores};

const DIMENSION: usize = 512;
const LABELS: usize = 54;
const COMPARED_IN_F32: usize = 2000;
const FRAMES: usize = 400;
const LIMIT: Duration = Duration::from_micros(1500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let scorer = Scorer::new(100.0, 1.0)?;
    let without = Banks::new(0, &mut random)?;
    println!("negatives  f32 ms  int8 ms  int8 adds  largest difference of a cosine, near ones");
    let mut added = Duration::ZERO;
    for count in [1_000, 2_000, 5_000, 10_000] {
        let banks = Banks::new(count, &mut random)?;
        let images: Vec<Embedding> = (0..16)
            .map(|at| banks.near(at * 97, &mut random))
            .collect::<Result<_, _>>()?;
        let (mut alone, mut f32, mut int8) = (Duration::MAX, Duration::MAX, Duration::MAX);
        let (mut scores, mut parts) = (Scores::default(), Scores::default());
        let (mut difference, mut near_difference) = (0.0f32, 0.0f32);
        for frame in 0..FRAMES {
            let image = &images[frame % images.len()];
            alone = alone.min(time(&scorer, image, &without.whole, &mut parts)?);
            let mut sum = Duration::ZERO;
            let mut exact = Vec::with_capacity(count);
            for part in &banks.parts {
                sum += time(&scorer, image, part, &mut parts)?;
                exact.extend_from_slice(parts.negative_similarities());
            }
            f32 = f32.min(sum);
            int8 = int8.min(time(&scorer, image, &banks.whole, &mut scores)?);
            let largest = exact.iter().copied().fold(-1.0, f32::max);
            for (a, b) in exact.iter().zip(scores.negative_similarities()) {
                difference = difference.max((a - b).abs());
                if *a > largest - 0.07 {
                    near_difference = near_difference.max((a - b).abs());
                }
            }
        }
        added = int8.saturating_sub(alone);
        println!(
            "{count:9}  {:6.3}  {:7.3}  {:9.3}  {difference:.5}, {near_difference:.5}",
            milliseconds(f32),
            milliseconds(int8),
            milliseconds(added),
        );
    }
    if added > LIMIT {
        return Err(format!("10,000 negatives add {added:?}, above {LIMIT:?}").into());
    }
    Ok(())
}

fn time(
    scorer: &Scorer,
    image: &Embedding,
    bank: &LabelBank,
    scores: &mut Scores,
) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    scorer.score(black_box(image), bank, scores)?;
    black_box(OodScores::of(scores, scorer));
    Ok(start.elapsed())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The same negatives in one bank and in several small ones.
struct Banks {
    whole: LabelBank,
    parts: Vec<LabelBank>,
}

impl Banks {
    fn new(count: usize, random: &mut Random) -> Result<Self, Box<dyn Error>> {
        let labels = random.texts(LABELS);
        let negatives = random.texts(count);
        let bank = |rows: &[f32]| -> Result<LabelBank, Box<dyn Error>> {
            let bank = bank(&labels)?;
            Ok(if rows.is_empty() {
                bank
            } else {
                bank.with_negatives(self::bank(rows)?)?
            })
        };
        Ok(Self {
            whole: bank(&negatives)?,
            parts: negatives
                .chunks(COMPARED_IN_F32 * DIMENSION)
                .map(bank)
                .collect::<Result<_, _>>()?,
        })
    }

    /// An image of cosine 0.3 or so to one of the negatives.
    fn near(&self, row: usize, random: &mut Random) -> Result<Embedding, Box<dyn Error>> {
        let text = self.whole.negative_embeds();
        let text = text.row(row % text.nrows());
        let other = random.texts(1);
        let values: Vec<f32> = text.iter().zip(&other).map(|(a, b)| 0.3 * a + b).collect();
        Ok(Embedding::new(&values)?)
    }
}

fn bank(rows: &[f32]) -> Result<LabelBank, Box<dyn Error>> {
    let labels = (0..rows.len() / DIMENSION)
        .map(|row| Label::new(&format!("text {row}")))
        .collect::<Result<_, _>>()?;
    Ok(LabelBank::new(labels, rows.to_vec(), DIMENSION)?)
}

/// Numbers from a multiplicative congruential generator: the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    /// Unit rows.
    fn texts(&mut self, count: usize) -> Vec<f32> {
        let mut rows: Vec<f32> = (0..count * DIMENSION).map(|_| self.next()).collect();
        for row in rows.chunks_exact_mut(DIMENSION) {
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter_mut().for_each(|value| *value /= length);
        }
        rows
    }
}
