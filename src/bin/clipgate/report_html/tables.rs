//! The page's open tables.

use clipgate::evaluate::{Difference, Estimate, OodFigures};
use maud::{Markup, html};

use crate::evaluate::rows::{Row, Unit};
use crate::numbers::{NONE, p_value, percent, percent_interval};

/// Groups of figures with intervals, of one model or of two with their difference.
pub(super) fn figures(names: &[&str], groups: &[(&str, Vec<Row>)]) -> Markup {
    let compared = names.len() > 1;
    let columns = 1 + names.len() + 2 * usize::from(compared);
    html! {
        div.scroll { table.figures.compared[compared] {
            thead { tr {
                td {}
                @for name in names { th scope="col" { (name) } }
                @if compared { th scope="col" { "Difference" } th.p scope="col" { "p" } }
            } }
            @for (heading, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
                tbody {
                    tr { th.group scope="rowgroup" colspan=(columns) { (heading) } }
                    @for row in rows { tr {
                        th scope="row" { (row.name) }
                        (value(row.unit, row.subject.as_ref()))
                        @if compared { (value(row.unit, row.reference.as_ref())) (difference(row)) }
                    } }
                }
            }
        } }
    }
}

fn value(unit: Unit, estimate: Option<&Estimate>) -> Markup {
    match estimate {
        Some(estimate) => {
            html! { td { (unit.value(estimate)) small { (unit.interval(estimate)) } } }
        }
        None => html! { td { (NONE) } },
    }
}

/// Two cells; where a narrow screen has no room for the second, the first says both.
fn difference(row: &Row) -> Markup {
    let Some(Difference {
        estimate,
        p_value: p,
        ..
    }) = &row.difference
    else {
        return html! { td { (NONE) } td.p { (NONE) } };
    };
    let p = p_value(*p);
    html! {
        td {
            (row.unit.signed(estimate.value))
            small { (row.unit.signed(estimate.low)) " to " (row.unit.signed(estimate.high)) }
            small.p { "p " (p) }
        }
        td.p { (p) }
    }
}

/// Every score on every set: AUROC and FPR95.
pub(super) fn scores(sets: &[OodFigures]) -> Markup {
    let Some(first) = sets.first() else {
        return html! {};
    };
    html! {
        div.scroll { table.scores {
            thead {
                tr {
                    th scope="col" rowspan="2" { "Score" }
                    @for set in sets { th.set scope="colgroup" colspan="2" { (set.name) } }
                }
                tr { @for _ in sets { th scope="col" { "AUROC" } th scope="col" { "FPR95" } } }
            }
            tbody { @for (place, figures) in first.scores.iter().enumerate() {
                tr class=[(first.gate == Some(figures.score)).then_some("chosen")] {
                    th scope="row" { code { (figures.score.as_str()) } }
                    @for set in sets {
                        @match set.scores.get(place) {
                            Some(own) => {
                                td { (percent(own.auroc.value)) small { (percent_interval(&own.auroc)) } }
                                td { (percent(own.fpr95.value)) small { (percent_interval(&own.fpr95)) } }
                            }
                            None => { td { (NONE) } td { (NONE) } }
                        }
                    }
                }
            } }
        } }
    }
}
