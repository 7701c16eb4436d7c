//! Pictures of single answers.

use maud::{Markup, html};

use super::Card;
use super::plots::words;
use crate::numbers::about;

/// A grid of answers.
pub(super) fn gallery(cards: &[Card]) -> Markup {
    html! { ul.gallery { @for card in cards { li { (one(card)) } } } }
}

fn one(card: &Card) -> Markup {
    let confidence = card
        .confidence
        .map(|confidence| about(f64::from(confidence)));
    html! {
        div.frame {
            @match &card.picture {
                Some(uri) => img src=(uri) loading="lazy" width="132" height="132"
                    alt=(format!("{}, called {}", card.truth, card.said));,
                None => "no picture",
            }
        }
        b { (card.said) @if let Some(confidence) = confidence { " " (confidence) } }
        span { (card.truth) }
        @if let Some(reason) = card.reason { span { "refused: " (words(reason)) } }
        span.file title=(card.file) { (card.file) }
    }
}
