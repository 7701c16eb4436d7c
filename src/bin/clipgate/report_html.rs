//! An evaluation as one HTML file that needs nothing else: no script, no font, no picture from outside.
//!
//! Markup is written with maud, which escapes whatever is put into it: a file or label called `<script>` is text. A
//! content security policy says the same to the browser.

mod chart;
mod gallery;
mod plots;
mod tables;
mod thumbnail;

use clipgate::Reason;
use clipgate::evaluate::{Evaluation, GateFigures, Paired, Plots};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::evaluate::rows;
use crate::numbers::{about, count, figure, percent, percent_interval};

pub(crate) use plots::words;
pub(crate) use thumbnail::data_uri;

const STYLE: &str = include_str!("report_html/style.css");

/// Nothing may be loaded or run; pictures and style stand in the file itself.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// All that the page tells.
pub(crate) struct Page<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) reference: Option<Subject<'a>>,
    pub(crate) paired: Option<&'a Paired>,
    /// What is promised of accepted answers, in words.
    pub(crate) promise: String,
    pub(crate) mistakes: Cards,
    pub(crate) refusals: Cards,
    /// How the figures came about.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// A model with its figures.
pub(crate) struct Subject<'a> {
    pub(crate) name: String,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) plots: &'a Plots,
}

/// The first few of `total` answers.
#[derive(Default)]
pub(crate) struct Cards {
    pub(crate) shown: Vec<Card>,
    pub(crate) total: usize,
}

/// One answer.
pub(crate) struct Card {
    /// A `data:` URI.
    pub(crate) picture: Option<String>,
    pub(crate) file: String,
    /// The label that the model gave, or would have given.
    pub(crate) said: String,
    pub(crate) confidence: Option<f32>,
    /// What it is, in words.
    pub(crate) truth: String,
    pub(crate) reason: Option<Reason>,
}

/// The whole file.
pub(crate) fn render(page: &Page<'_>) -> String {
    let title = format!("{}: evaluation", page.subject.name);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                (verdict(page))
                @if page.reference.is_some() { (comparison(page)) }
                (risk_coverage(page))
                (reliability(page))
                (outcomes(page))
                (separation(page))
                (answers("The worst mistakes", &page.mistakes,
                    "Answered and wrong, the surest first: these are what the gate lets through."))
                (answers("The best refusals", &page.refusals,
                    "Refused, and the answer would have been wrong: the surest first."))
                @if page.reference.is_none() { (comparison(page)) }
                (facts(page))
                footer { "Made by clipgate " (env!("CARGO_PKG_VERSION")) ". Ranges are 95 % intervals." }
            } }
        }
    }
    .into_string()
}

fn verdict(page: &Page<'_>) -> Markup {
    let evaluation = page.subject.evaluation;
    let accuracy = evaluation
        .id
        .metrics
        .get(&clipgate::evaluate::Metric::Accuracy);
    let accuracy_words = accuracy.map(|accuracy| about(accuracy.value));
    html! {
        header {
            p.eyebrow { (page.subject.name) " · " (count(evaluation.id.n)) " images of its labels" }
            @match &evaluation.gate {
                Some(gate) => {
                    h1 { (headline(gate)) }
                    p.lead {
                        @if let Some(accuracy) = &accuracy_words {
                            "Without the gate it would answer everything and be right for " (accuracy) ". "
                        }
                        @if let Some(accepted) = &gate.accepted_ood {
                            "Of images that show none of its labels it answers " (about(accepted.value)) "."
                        }
                    }
                }
                None => {
                    h1 {
                        @match &accuracy_words {
                            Some(accuracy) => { "It is right for " (accuracy) " of the images, and answers them all." }
                            None => { "No figure could be computed." }
                        }
                    }
                    p.lead { "There is no calibration of this graph, so no gate was judged." }
                }
            }
            (tiles(evaluation, accuracy))
            p.promise { (page.promise) }
        }
    }
}

fn headline(gate: &GateFigures) -> String {
    match &gate.selective_risk {
        Some(risk) => format!(
            "It answers {} of the images, and {} of those answers are right.",
            about(gate.coverage.value),
            about(1.0 - risk.value)
        ),
        None => "It answers none of the images.".to_owned(),
    }
}

fn tiles(evaluation: &Evaluation, accuracy: Option<&clipgate::evaluate::Estimate>) -> Markup {
    let gate = evaluation.gate.as_ref();
    let tiles = [
        ("Answered", gate.map(|gate| gate.coverage)),
        (
            "Wrong among answered",
            gate.and_then(|gate| gate.selective_risk),
        ),
        (
            "Other images answered",
            gate.and_then(|gate| gate.accepted_ood),
        ),
        ("Right without a gate", accuracy.copied()),
    ];
    html! {
        div.tiles { @for (name, estimate) in tiles.iter().filter_map(|(name, tile)| Some((name, tile.as_ref()?))) {
            div.tile {
                div.what { (name) }
                div.value { (percent(estimate.value)) }
                div.range { (percent_interval(estimate)) }
            }
        } }
    }
}

fn comparison(page: &Page<'_>) -> Markup {
    let own = page.subject.evaluation;
    let other = page
        .reference
        .as_ref()
        .map(|reference| reference.evaluation);
    let mut names = vec![page.subject.name.as_str()];
    names.extend(
        page.reference
            .as_ref()
            .map(|reference| reference.name.as_str()),
    );
    let groups = rows::groups(own, other, page.paired);
    html! {
        section {
            h2 { @if other.is_some() { "Side by side" } @else { "Figures" } }
            p.about {
                @if other.is_some() {
                    "Both models saw the same images. Small numbers are 95 % intervals; differences are the first \
                     model's figure less the second's, in percentage points where the figure is a share."
                } @else { "Small numbers are 95 % intervals." }
                @if let Some(paired) = page.paired {
                    " They say the same of " (percent(paired.agreement.value)) " of all images."
                }
            }
            (tables::figures(&names, &groups))
        }
    }
}

fn subjects<'a>(page: &'a Page<'a>) -> impl Iterator<Item = &'a Subject<'a>> {
    std::iter::once(&page.subject).chain(&page.reference)
}

fn risk_coverage(page: &Page<'_>) -> Markup {
    let curves: Vec<_> = subjects(page)
        .map(|subject| plots::Curve {
            name: &subject.name,
            points: &subject.plots.risk_coverage,
            gate: subject.evaluation.gate.as_ref(),
        })
        .collect();
    html! {
        section {
            h2 { "Risk against coverage" }
            p.about { "Answer only the surest images and fewer answers are wrong. The curve shows the price of every \
                       choice; the mark is where the gate stands. A gate that also asks whether an image is one of \
                       the labels at all need not stand on the curve." }
            div.wide { (plots::risk_coverage("risk", &curves)) }
        }
    }
}

fn reliability(page: &Page<'_>) -> Markup {
    let shape = if page.reference.is_some() {
        "plots"
    } else {
        "wide"
    };
    html! {
        section {
            h2 { "Are its probabilities true?" }
            p.about { "Of answers that are stated with 80 %, eight in ten should be right: points on the dotted line. \
                       Below it the model is too sure, above it too modest. Grey bars show how many images fall \
                       into each range." }
            div class=(shape) { @for (place, subject) in subjects(page).enumerate() {
                @let ece = subject.evaluation.id.metrics.get(&clipgate::evaluate::Metric::Ece);
                @let ece = ece.map_or_else(String::new, |ece| figure(clipgate::evaluate::Metric::Ece, ece.value));
                (plots::reliability(place, &subject.name, &ece, &subject.plots.reliability))
            } }
        }
    }
}

fn outcomes(page: &Page<'_>) -> Markup {
    let Some(gate) = &page.subject.evaluation.gate else {
        return html! {};
    };
    let sets: Vec<_> = std::iter::once(&gate.id).chain(&gate.ood).collect();
    html! {
        section {
            h2 { "What became of the images" }
            p.about { "Every image is answered or refused with a reason. An answer to an image that shows none of \
                       the labels is always wrong." }
            (plots::outcomes(&sets))
        }
    }
}

fn separation(page: &Page<'_>) -> Markup {
    let (evaluation, plots) = (page.subject.evaluation, page.subject.plots);
    if evaluation.ood.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Does it notice other images?" }
            p.about { "A score that tells images of the labels from others puts the two shapes apart. AUROC is the \
                       chance that an image of the labels scores above another one (50 % is guessing); FPR95 is the \
                       share of other images that pass a cut which 95 % of the labels' images pass." }
            div.plots { @for (place, histogram) in plots.histograms.iter().enumerate() {
                (plots::histogram(&format!("histogram-{place}"), histogram))
            } }
            (tables::scores(&evaluation.ood))
        }
    }
}

fn answers(title: &str, cards: &Cards, about: &str) -> Markup {
    if cards.total == 0 {
        return html! {};
    }
    html! {
        section {
            h2 { (title) }
            p.about {
                (about)
                @if cards.shown.len() < cards.total {
                    " The first " (cards.shown.len()) " of " (count(cards.total)) "."
                }
            }
            (gallery::gallery(&cards.shown))
        }
    }
}

fn facts(page: &Page<'_>) -> Markup {
    html! {
        section {
            h2 { "How this was made" }
            dl { @for (name, value) in &page.facts { dt { (name) } dd { (value) } } }
        }
    }
}

#[cfg(test)]
mod tests;
