//! Tells what was decided: on the screen, as JSON Lines, in a file, and in the end how it went.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clipgate::{
    Classifier, Error, ErrorKind, Gate, LiveStatus, PromiseKind, Result, Stage, StreamAnswer,
    StreamEvent,
};

use super::args::WatchArgs;
use super::control::Control;
use super::lines::{Line, LineFile};
use super::screen::{self, Screen};
use crate::answer::{self, milliseconds};
use crate::args::Format;
use crate::exit_code::Outcome;
use crate::report;

/// The widest path in the text output; longer ones push their own line only.
const PATH_WIDTH: usize = 40;

pub(super) struct Teller {
    format: Format,
    source: String,
    file: Option<String>,
    gate: Gate,
    is_smoothed: bool,
    output: Option<LineFile>,
    screen: Screen,
    counts: LiveStatus,
    start: Option<Instant>,
    is_closed: bool,
}

/// The teller, which is fit to tell the next frame even if someone panicked on the last one.
pub(super) fn lock(teller: &Mutex<Teller>) -> MutexGuard<'_, Teller> {
    teller.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teller {
    pub(super) fn new(
        args: &WatchArgs,
        source: &Path,
        format: Format,
        is_files: bool,
        classifier: &Classifier,
    ) -> Result<Self> {
        let output = args.output.as_deref().map(LineFile::create).transpose()?;
        Ok(Self {
            format,
            source: source.display().to_string(),
            file: None,
            gate: classifier.gate().clone(),
            is_smoothed: args.is_smoothed(is_files),
            output,
            screen: Screen::new(format == Format::Text && !is_files),
            counts: LiveStatus::default(),
            start: None,
            is_closed: false,
        })
    }

    /// The file that the next frame comes from, if it has one of its own.
    pub(super) fn name(&mut self, file: Option<&Path>) {
        self.file = file.map(|file| file.display().to_string());
    }

    /// Tells what came of a frame.
    pub(super) fn tell(&mut self, event: StreamEvent, control: &Control) {
        if self.is_closed {
            return;
        }
        self.start.get_or_insert_with(Instant::now);
        match event {
            StreamEvent::Answer(answer) => self.tell_answer(&answer, control),
            StreamEvent::Failed { frame, error, .. } => {
                let error = error.at(format_args!("frame {frame}"));
                self.tell_unanswered(None, error, control);
            }
            StreamEvent::Late {
                frame, stage, took, ..
            } => {
                let what = match stage {
                    Stage::Classifier => "to be answered",
                    _ => "to be told",
                };
                let text = format!("frame {frame} took {:.1} s {what}", took.as_secs_f64());
                self.screen.suspend(|| report::note(&text));
                let line = serde_json::json!({
                    "frame": frame, "source": self.source, "late": stage, "took_ms": milliseconds(took),
                });
                self.json(&line.to_string(), control);
            }
            _ => {}
        }
    }

    fn tell_answer(&mut self, answer: &StreamAnswer, control: &Control) {
        if answer.skipped {
            self.counts.skipped += 1;
        } else {
            self.counts.answered += 1;
        }
        if self.format == Format::Text {
            let text = match &self.file {
                Some(file) => Some(format!(
                    "{:PATH_WIDTH$}  {}",
                    report::path(Path::new(file)),
                    self.of_file(answer)
                )),
                None => self.screen.show(answer, self.gate.fit(), &self.counts),
            };
            if let Some(text) = text {
                print(&text, control);
            }
        }
        self.counts.dropped = answer.dropped;
        if self.format == Format::Json || self.output.is_some() {
            let source = self.file.as_deref().unwrap_or(&self.source);
            let line = Line::new(answer, source, &self.gate);
            match serde_json::to_string(&line) {
                Ok(line) => self.json(&line, control),
                Err(error) => control.fail(
                    Error::new(ErrorKind::Machine, "an answer cannot be written as JSON")
                        .with_source(error),
                ),
            }
        }
    }

    /// What is said of a file: its own answer, or the steady decision where files are taken for one stream.
    fn of_file(&self, answer: &StreamAnswer) -> String {
        let said = match self.is_smoothed {
            true => screen::words(&answer.steady.decision, self.gate.fit(), true),
            false => answer::sentence(&answer.raw),
        };
        match answer.skipped {
            true => format!("{said} (unchanged: not asked again)"),
            false => said,
        }
    }

    /// Tells that a frame could not be answered. Where the machine is at fault, the model's file is lost and no later
    /// frame can be: the stream ends.
    pub(super) fn tell_unanswered(&mut self, file: Option<&Path>, error: Error, control: &Control) {
        match error.kind() {
            ErrorKind::Machine => control.fail(error),
            _ => self.tell_failed(file, &error, control),
        }
    }

    /// Tells that something was no frame, or that a frame could not be answered.
    pub(super) fn tell_failed(&mut self, file: Option<&Path>, error: &Error, control: &Control) {
        if self.is_closed {
            return;
        }
        self.counts.failed += 1;
        self.screen.suspend(|| report::error(error));
        let source = file.map_or_else(|| self.source.clone(), |file| file.display().to_string());
        let line = report::failed_line("source", &source, error);
        self.json(&line.to_string(), control);
    }

    /// A JSON line wherever JSON lines go.
    fn json(&mut self, line: &str, control: &Control) {
        if self.format == Format::Json {
            print(line, control);
        }
        if let Some(output) = &mut self.output
            && let Err(error) = output.write(line)
        {
            self.output = None;
            control.fail(error);
        }
    }

    /// The frames that were dropped in all, of which no later answer told.
    pub(super) fn count_dropped(&mut self, dropped: u64) {
        self.counts.dropped = dropped;
    }

    /// Ends the telling with a summary, and says how the stream ended.
    pub(super) fn close(&mut self, ended: Result<Outcome>, control: &Control) -> Result<Outcome> {
        self.is_closed = true;
        self.screen.close();
        let synced = self.output.as_mut().map_or(Ok(()), LineFile::sync);
        let summary = self.summary();
        match self.format {
            // On standard output there are JSON lines only.
            Format::Json => report::note(&summary),
            Format::Text if !control.is_reader_gone() => print(&format!("\n{summary}"), control),
            Format::Text => {}
        }
        let outcome = ended?;
        synced?;
        Ok(match self.counts.failed {
            0 => outcome,
            _ => outcome.and(Outcome::Failed),
        })
    }

    fn summary(&self) -> String {
        let LiveStatus {
            answered,
            skipped,
            dropped,
            failed,
            ..
        } = self.counts;
        let mut parts = vec![format!("{answered} answered")];
        for (count, what) in [
            (skipped, "skipped as unchanged"),
            (dropped, "dropped"),
            (failed, "failed"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let frames = answered + skipped + dropped + failed;
        let seconds = self
            .start
            .map_or(0.0, |start| start.elapsed().as_secs_f64());
        let trust = answer::trust(&self.gate);
        // Where something is promised, it is not promised of these.
        let steady = match self.gate.promise().kind {
            PromiseKind::None => "",
            _ => "; steady decisions promise nothing",
        };
        format!(
            "{frames} frame{} in {seconds:.1} s: {} ({trust}{steady})",
            if frames == 1 { "" } else { "s" },
            parts.join(", ")
        )
    }
}

/// Prints a line on standard output. A reader that has gone away ends the stream, and nothing is wrong with that.
fn print(text: &str, control: &Control) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", report::printable(text)).and_then(|()| stdout.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => control.reader_is_gone(),
        Err(error) => control.fail(
            Error::new(ErrorKind::Machine, "standard output cannot be written").with_source(error),
        ),
    }
}
