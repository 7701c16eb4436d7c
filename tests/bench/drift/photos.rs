//! Photos that change: how soon their scores raise an alarm.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clipgate::{
    Bundle, Classifier, Decision, DriftMonitor, DriftOptions, DriftReference, Frame, PixelFormat,
};
use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{FALSE_ALARM, SIZES, runtime_search, streams};

/// Streams of each kind.
const TRIALS: usize = 400;
/// Compared frames after which a stream that drifts is given up.
const PATIENCE: usize = 2000;

/// What happens to a camera.
type Change = fn(&RgbImage, &mut ChaCha8Rng) -> RgbImage;

const CHANGES: [(&str, Change); 8] = [
    ("darkened to 40 %", |photo, _| scaled(photo, 0.4)),
    ("darkened to 10 %", |photo, _| scaled(photo, 0.1)),
    ("brightened to 160 %", |photo, _| scaled(photo, 1.6)),
    ("brightened to 300 %", |photo, _| scaled(photo, 3.0)),
    ("blurred, 1 pixel", |photo, _| {
        image::imageops::blur(photo, 1.0)
    }),
    ("blurred, 2 pixels", |photo, _| {
        image::imageops::blur(photo, 2.0)
    }),
    ("noise, 15 of 255", |photo, random| {
        noisy(photo, 15.0, random)
    }),
    ("noise, 30 of 255", |photo, random| {
        noisy(photo, 30.0, random)
    }),
];

/// An image file, with the row of its label if it shows one.
struct Photo {
    file: PathBuf,
    label: Option<usize>,
}

/// Scores of photos, and how the gate did on them.
struct Population {
    scores: Vec<f32>,
    accepted: usize,
    wrong: usize,
}

pub(crate) fn delays(photos: &Path, others: &[String]) -> Result<(), Box<dyn Error>> {
    let runtime = runtime_search::load()?;
    let mut classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
    let photos = labelled(photos, &classifier)?;
    if photos.is_empty() {
        return Err("no photos of pocket's labels".into());
    }
    let clean = population(&photos, &mut classifier, |photo, _| photo.clone())?;
    println!(
        "{} photos of the labels; {TRIALS} streams each; stated false alarms: 5 %",
        photos.len()
    );
    println!(
        "{:40} from the first frame on    after 1,000 unchanged frames\n\
         change                          n accepted  wrong  median   in 500  in 2000   early  median   in 500  in 2000",
        ""
    );
    tell("none", &clean, &clean);
    for (name, change) in CHANGES {
        tell(name, &population(&photos, &mut classifier, change)?, &clean);
    }
    for other in others {
        let (name, folder) = other.split_once('=').ok_or("NAME=FOLDER is expected")?;
        let files: Vec<Photo> = listed(Path::new(folder))?
            .into_iter()
            .map(|file| Photo { file, label: None })
            .collect();
        let scene = population(&files, &mut classifier, |photo, _| photo.clone())?;
        tell(name, &scene, &clean);
        tell(
            &format!("{name}, 1 frame of 4"),
            &mixed(&clean, &scene),
            &clean,
        );
    }
    Ok(())
}

fn tell(name: &str, changed: &Population, clean: &Population) {
    let share = |part: usize, whole: usize| match whole {
        0 => "-".to_owned(),
        _ => format!("{:.0} %", 100.0 * part as f64 / whole as f64),
    };
    for n in SIZES {
        let from_start = times(n, 0, changed, clean);
        let later = times(n, 1000, changed, clean);
        let row = |times: &[Option<usize>]| {
            let mut sorted: Vec<usize> = times
                .iter()
                .map(|time| time.unwrap_or(usize::MAX))
                .collect();
            sorted.sort_unstable();
            let middle = sorted[sorted.len() / 2];
            let median = if middle == usize::MAX {
                "-".to_owned()
            } else {
                middle.to_string()
            };
            let within = |limit| {
                share(
                    sorted.iter().filter(|&&time| time <= limit).count(),
                    sorted.len(),
                )
            };
            format!("{median:>7} {:>8} {:>8}", within(500), within(PATIENCE))
        };
        let early = later.iter().filter(|time| **time == Some(0)).count();
        let on_time: Vec<_> = later
            .iter()
            .filter(|time| **time != Some(0))
            .copied()
            .collect();
        println!(
            "{name:<28} {n:>4} {:>8} {:>6} {} {:>7} {}",
            share(changed.accepted, changed.scores.len()),
            share(changed.wrong, changed.accepted),
            row(&from_start),
            share(early, TRIALS),
            row(&on_time),
        );
    }
}

/// After how many changed frames each of [`TRIALS`] streams raised the alarm; 0 if before the first of them.
fn times(
    n: usize,
    unchanged: usize,
    changed: &Population,
    clean: &Population,
) -> Vec<Option<usize>> {
    let options = DriftOptions::default().false_alarm(FALSE_ALARM).stride(1);
    let alarm = |seed: u64| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |from: &[f32]| from[random.random_range(0..from.len())];
        let calibration: Vec<f32> = (0..n).map(|_| draw(&clean.scores)).collect();
        let reference = DriftReference::from_scores(&calibration).ok()?;
        let mut monitor = DriftMonitor::new(&reference, options).ok()?;
        if (0..unchanged).any(|_| monitor.observe(draw(&clean.scores)).is_stale()) {
            return Some(0);
        }
        (1..=PATIENCE).find(|_| monitor.observe(draw(&changed.scores)).is_stale())
    };
    (0..TRIALS as u64).map(alarm).collect()
}

/// The out-of-distribution scores of photos, each with the row of its label if it shows one.
fn population(
    photos: &[Photo],
    classifier: &mut Classifier,
    change: Change,
) -> Result<Population, Box<dyn Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let rule = classifier.gate().calibration().ood().score;
    let mut found = Population {
        scores: Vec::new(),
        accepted: 0,
        wrong: 0,
    };
    for Photo { file, label } in photos {
        let photo = change(&image::open(file)?.to_rgb8(), &mut random);
        let frame = Frame::new(&photo, photo.width(), photo.height(), PixelFormat::Rgb8)?;
        let answer = classifier.classify(&frame)?;
        let Some(score) = answer.scores.and_then(|scores| scores.value(rule)) else {
            continue;
        };
        found.scores.push(score);
        if let Decision::Accept(prediction) = answer.decision {
            found.accepted += 1;
            found.wrong += usize::from(Some(prediction.index) != *label);
        }
    }
    Ok(found)
}

/// Three frames of one population for each frame of the other.
fn mixed(clean: &Population, scene: &Population) -> Population {
    let each = clean.scores.len() * scene.scores.len();
    let repeated = |population: &Population, times: usize| -> Vec<f32> {
        population
            .scores
            .iter()
            .copied()
            .cycle()
            .take(population.scores.len() * times)
            .collect()
    };
    let (three, one) = (3 * each / clean.scores.len(), each / scene.scores.len());
    Population {
        scores: [repeated(clean, three), repeated(scene, one)].concat(),
        accepted: three * clean.accepted + one * scene.accepted,
        wrong: three * clean.wrong + one * scene.wrong,
    }
}

fn labelled(folder: &Path, classifier: &Classifier) -> Result<Vec<Photo>, Box<dyn Error>> {
    let mut photos = Vec::new();
    for (row, label) in classifier.bank().labels().iter().enumerate() {
        let names = [label.wnid(), Some(label.name())];
        let there = names
            .into_iter()
            .flatten()
            .map(|name| folder.join(name))
            .find(|path| path.is_dir());
        if let Some(there) = there {
            photos.extend(listed(&there)?.into_iter().map(|file| Photo {
                file,
                label: Some(row),
            }));
        }
    }
    Ok(photos)
}

/// All files in a folder and its folders, in the order of their names.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(listed(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn scaled(photo: &RgbImage, factor: f32) -> RgbImage {
    mapped(photo, |value| value * factor)
}

fn noisy(photo: &RgbImage, deviation: f64, random: &mut ChaCha8Rng) -> RgbImage {
    mapped(photo, |value| {
        value + (deviation * streams::normal(random)) as f32
    })
}

fn mapped(photo: &RgbImage, mut change: impl FnMut(f32) -> f32) -> RgbImage {
    let mut photo = photo.clone();
    photo
        .iter_mut()
        .for_each(|value| *value = change(f32::from(*value)).round() as u8);
    photo
}
