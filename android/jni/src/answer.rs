//! What goes back to Java: `Answers.kt` reads it.

use std::time::Duration;

use clipgate::{
    Bundle, CalibrationFit, Classification, Classifier, Decision, DriftStatus, LiveStatus,
    OodScore, PromiseKind, Runtime, StreamAnswer, StreamEvent,
};

use crate::failure::{Failure, code_of};
use crate::wire::Writer;

/// What a classifier is made of.
pub(crate) fn description(
    writer: &mut Writer<'_>,
    runtime: &Runtime,
    bundle: &Bundle,
    classifier: &Classifier,
) -> Result<(), Failure> {
    let (manifest, encoder, gate) = (bundle.manifest(), classifier.encoder(), classifier.gate());
    writer.text(&manifest.id);
    writer.u64(manifest.version);
    writer.text(&manifest.licence);
    writer.text(&bundle.location());
    writer.bool(manifest.text_encoder.is_some());
    writer.text(runtime.version());
    writer.f32(Some(gate.calibration().confidence().threshold));
    fit(writer, gate.fit());
    let promise = gate.promise();
    writer.text(promise_kind(promise.kind)?);
    writer.f64(promise.target);
    writer.f64(promise.confidence);
    writer.text(&promise.conditions);
    let times = encoder.load_timings();
    for time in [times.read, times.session, times.self_test] {
        duration(writer, time);
    }
    writer.list(encoder.provider_reports().iter(), |writer, report| {
        writer.text(report.provider.name());
        writer.bool(report.is_chosen());
        writer.text(&report.to_string());
    });
    writer.list(OodScore::ALL.iter(), |writer, score| {
        writer.text(score.as_str());
    });
    writer.list(classifier.bank().labels().iter(), |writer, label| {
        writer.text(label.name());
    });
    Ok(())
}

/// The answer to one frame.
pub(crate) fn classification(
    writer: &mut Writer<'_>,
    answer: &Classification,
) -> Result<(), Failure> {
    decision(writer, &answer.decision)?;
    writer.list(answer.top.iter(), |writer, candidate| {
        writer.count(candidate.index);
        writer.f32(candidate.probability);
        writer.f32(Some(candidate.similarity));
    });
    let scores = answer.scores.as_ref();
    writer.bool(scores.is_some());
    for score in scores
        .iter()
        .flat_map(|scores| OodScore::ALL.map(|score| scores.value(score)))
    {
        writer.f32(score);
    }
    fit(writer, answer.calibration);
    writer.text(promise_kind(answer.promise)?);
    drift(writer, answer.drift.as_ref());
    let times = &answer.timings;
    for time in [times.preprocess, times.encode, times.decide] {
        duration(writer, time);
    }
    Ok(())
}

/// What a live stream has to tell.
pub(crate) fn event(writer: &mut Writer<'_>, event: &StreamEvent) -> Result<(), Failure> {
    match event {
        StreamEvent::Answer(answer) => {
            writer.u8(0);
            stream_answer(writer, answer)
        }
        StreamEvent::Failed {
            frame,
            timestamp,
            error,
        } => {
            writer.u8(1);
            writer.u64(*frame);
            duration(writer, *timestamp);
            writer.i32(code_of(error) as i32);
            writer.text(&error.report());
            Ok(())
        }
        StreamEvent::Late {
            frame,
            timestamp,
            took,
            ..
        } => {
            writer.u8(2);
            writer.u64(*frame);
            duration(writer, *timestamp);
            duration(writer, *took);
            Ok(())
        }
        _ => Err(Failure::other_build("an event that is not known")),
    }
}

fn stream_answer(writer: &mut Writer<'_>, answer: &StreamAnswer) -> Result<(), Failure> {
    writer.u64(answer.frame);
    duration(writer, answer.timestamp);
    decision(writer, &answer.steady.decision)?;
    duration(writer, answer.steady.since);
    duration(writer, answer.raw_timestamp);
    writer.bool(answer.skipped);
    duration(writer, answer.took);
    writer.u64(answer.dropped);
    classification(writer, &answer.raw)
}

/// How a live stream is doing.
pub(crate) fn status(writer: &mut Writer<'_>, status: &LiveStatus) {
    for count in [
        status.pushed,
        status.answered,
        status.skipped,
        status.dropped,
        status.failed,
        status.late,
        status.results_dropped,
    ] {
        writer.u64(count);
    }
    writer.bool(status.stopped);
    writer.bool(status.stuck().is_some());
}

fn decision(writer: &mut Writer<'_>, decision: &Decision) -> Result<(), Failure> {
    match decision {
        Decision::Accept(prediction) => {
            writer.bool(true);
            writer.count(prediction.index);
            writer.f32(prediction.confidence);
        }
        Decision::Abstain(abstention) => {
            writer.bool(false);
            writer.text(abstention.reason.as_str());
            writer.list(abstention.set.iter(), |writer, label| {
                writer.count(label.index);
            });
        }
        _ => return Err(Failure::other_build("a decision that is not known")),
    }
    Ok(())
}

fn drift(writer: &mut Writer<'_>, drift: Option<&DriftStatus>) {
    writer.bool(drift.is_some());
    if let Some(drift) = drift {
        writer.u64(drift.frames);
        writer.u64(drift.compared);
        writer.f64(Some(drift.evidence));
        writer.f64(Some(drift.limit));
        writer.bool(drift.is_stale());
    }
}

fn fit(writer: &mut Writer<'_>, fit: CalibrationFit) {
    writer.bool(fit == CalibrationFit::Fitted);
}

fn promise_kind(kind: PromiseKind) -> Result<&'static str, Failure> {
    Ok(match kind {
        PromiseKind::HighProbability => "high_probability",
        PromiseKind::Expectation => "expectation",
        PromiseKind::MarginalCoverage => "marginal_coverage",
        PromiseKind::None => "none",
        _ => return Err(Failure::other_build("a promise that is not known")),
    })
}

/// In nanoseconds.
fn duration(writer: &mut Writer<'_>, duration: Duration) {
    writer.u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}
