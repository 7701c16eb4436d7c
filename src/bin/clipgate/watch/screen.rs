//! Text for people: one line that is updated in place on a terminal, a line a change elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use clipgate::{CalibrationFit, Decision, LiveStatus, StreamAnswer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::answer::percent;
use crate::report;

/// Over how long frames a second are counted.
const WINDOW: Duration = Duration::from_secs(2);

/// From when on they are told: what comes before is chance.
const FIRST_RATE: Duration = Duration::from_millis(500);

/// Where the figures begin, unless the decision is longer.
const DECISION_WIDTH: usize = 44;

/// How a stream is shown.
pub(super) struct Screen {
    /// The line on a terminal; `None` elsewhere.
    line: Option<ProgressBar>,
    shown: Option<String>,
    rate: Rate,
}

impl Screen {
    /// `is_one_stream`: whether there is one line for everything.
    pub(super) fn new(is_one_stream: bool) -> Self {
        let has_line = is_one_stream && io::stdout().is_terminal();
        let line = has_line.then(|| {
            let style = ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
                .with_style(style)
                .with_message("waiting for the first frame")
        });
        if let Some(line) = &line {
            line.tick();
        }
        Self {
            line,
            shown: None,
            rate: Rate::default(),
        }
    }

    /// What a frame adds: `Some` line to print where there is no terminal and the decision is another.
    pub(super) fn show(
        &mut self,
        answer: &StreamAnswer,
        fit: CalibrationFit,
        counts: &LiveStatus,
    ) -> Option<String> {
        let rate = self
            .rate
            .count(answer.dropped - counts.dropped.min(answer.dropped));
        let said = words(&answer.steady.decision, fit, true);
        if let Some(line) = &self.line {
            let rate = rate.map_or_else(String::new, |rate| format!("{rate:.1} frames/s  "));
            let text = format!(
                "{said:DECISION_WIDTH$}  {rate}{} skipped  {} dropped",
                counts.skipped, answer.dropped
            );
            line.set_message(report::printable(&text).into_owned());
            return None;
        }
        let name = words(&answer.steady.decision, fit, false);
        if self.shown.as_ref() == Some(&name) {
            return None;
        }
        self.shown = Some(name);
        Some(format!("{:>9.2} s  {said}", answer.timestamp.as_secs_f64()))
    }

    /// Leaves the last line where it is.
    pub(super) fn close(&mut self) {
        if let Some(line) = self.line.take() {
            line.abandon();
        }
    }

    /// Prints something beside the line that is updated.
    pub(super) fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.line {
            Some(line) => line.suspend(print),
            None => print(),
        }
    }
}

/// A steady decision in words, with its confidence or without.
pub(super) fn words(decision: &Decision, fit: CalibrationFit, with_confidence: bool) -> String {
    match decision {
        Decision::Accept(prediction) => match prediction.confidence.filter(|_| with_confidence) {
            Some(confidence) if fit == CalibrationFit::Fitted => {
                format!("{} ({})", prediction.label, percent(confidence))
            }
            Some(confidence) => format!("{} (a guess, {})", prediction.label, percent(confidence)),
            None => prediction.label.to_string(),
        },
        Decision::Abstain(abstention) => format!("not sure: {}", abstention.reason),
        _ => "an answer that this command does not know".to_owned(),
    }
}

/// Frames a second, of late.
#[derive(Default)]
struct Rate {
    window: Option<Instant>,
    frames: u64,
    last: Option<f64>,
}

impl Rate {
    /// Counts a frame, and those that were dropped before it.
    fn count(&mut self, dropped: u64) -> Option<f64> {
        let start = *self.window.get_or_insert_with(Instant::now);
        self.frames += 1 + dropped;
        let elapsed = start.elapsed();
        if elapsed >= WINDOW || self.last.is_none() && elapsed >= FIRST_RATE {
            self.last = Some(self.frames as f64 / elapsed.as_secs_f64());
        }
        if elapsed >= WINDOW {
            self.window = None;
            self.frames = 0;
        }
        self.last
    }
}
