//! What every Rust peer of `run.sh` shares: arguments, the conversation with `measure.py`, memory.
//!
//! A worker loads its model, says `ready`, and then answers each line `CASE N` on standard input with one JSON line: the
//! milliseconds of N decisions, on the clock and of the processor, and the last one. With `--once CASE` it makes one decision, prints it with
//! its peak memory, and ends.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use cpu_time::ProcessTime;

pub const WIDTH: u32 = 1920;
pub const HEIGHT: u32 = 1080;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What a decision comes to in every peer: the label of the largest cosine.
pub struct Answer {
    pub label: String,
    pub similarity: f32,
}

pub trait Peer {
    fn answer(&mut self, case: &str) -> Result<Answer>;
}

#[derive(Default)]
pub struct Arguments {
    /// Folder of the int8 graph, its labels and calibration.
    pub bundle: PathBuf,
    /// The graph that a peer without bundles executes.
    pub graph: PathBuf,
    /// Folder of `frame.nv21` and the JPEG files that `measure.py` asks for.
    pub frames: PathBuf,
    pub threads: usize,
    once: Option<String>,
    /// What one peer alone understands.
    flags: Vec<String>,
}

impl Arguments {
    pub fn from_command_line() -> Result<Self> {
        let mut found = Self {
            threads: 1,
            ..Self::default()
        };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or(format!("{name}: a value is missing"));
            match name.as_str() {
                "--bundle" => found.bundle = value()?.into(),
                "--graph" => found.graph = value()?.into(),
                "--frames" => found.frames = value()?.into(),
                "--threads" => found.threads = value()?.parse()?,
                "--once" => found.once = Some(value()?),
                _ => found.flags.push(name),
            }
        }
        Ok(found)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}

pub fn serve(arguments: &Arguments, mut peer: impl Peer) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(case) = &arguments.once {
        let answer = peer.answer(case)?;
        writeln!(out, "{}", line(&Times::default(), &answer))?;
        return Ok(());
    }
    writeln!(out, "ready")?;
    out.flush()?;
    for request in std::io::stdin().lock().lines() {
        let request = request?;
        let (case, runs) = request.split_once(' ').ok_or("`CASE N` is asked for")?;
        let mut times = Times::default();
        let mut last = None;
        for _ in 0..runs.parse()? {
            let (start, worked) = (Instant::now(), ProcessTime::try_now()?);
            let answer = peer.answer(case)?;
            times.wall.push(start.elapsed().as_secs_f64() * 1e3);
            times
                .processor
                .push(worked.try_elapsed()?.as_secs_f64() * 1e3);
            last = Some(answer);
        }
        let answer = last.ok_or("no run was asked for")?;
        writeln!(out, "{}", line(&times, &answer))?;
        out.flush()?;
    }
    Ok(())
}

/// Milliseconds of each decision.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    processor: Vec<f64>,
}

fn line(times: &Times, answer: &Answer) -> serde_json::Value {
    serde_json::json!({
        "wall": times.wall,
        "processor": times.processor,
        "label": answer.label,
        "similarity": answer.similarity,
        "peak_rss_kb": peak_rss_kb(),
    })
}

/// `VmHWM`: the most memory this process has had resident, as Linux counts it.
fn peak_rss_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
