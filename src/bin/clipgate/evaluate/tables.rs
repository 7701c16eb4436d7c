//! The figures as text, in columns.

use std::fmt::Write as _;

use clipgate::evaluate::{Evaluation, OodFigures, Outcomes, Paired};
use textwrap::core::display_width;

use super::rows::{self, Row};
use crate::numbers::{NONE, count, p_value, percent, percent_interval};
use crate::report_html::words;

/// Rows of cells, the first of each being its name.
type Table = Vec<Vec<String>>;

/// Everything that is printed for people about one model, or about two.
pub(super) fn text(
    names: &[&str],
    own: &Evaluation,
    reference: Option<&Evaluation>,
    paired: Option<&Paired>,
) -> String {
    let mut text = String::new();
    for (heading, rows) in rows::groups(own, reference, paired) {
        section(&mut text, heading, &figures(names, &rows));
    }
    if let Some(gate) = &own.gate {
        let sets: Vec<_> = std::iter::once(&gate.id).chain(&gate.ood).collect();
        section(&mut text, "Images by outcome", &outcomes(&sets));
    }
    for set in &own.ood {
        let heading = format!("Scores on {} ({} images)", set.name, count(set.n));
        section(&mut text, &heading, &scores(set));
    }
    text
}

fn section(text: &mut String, heading: &str, table: &Table) {
    if table.len() < 2 {
        return;
    }
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| display_width(cell)).max().unwrap_or(0)
        })
        .collect();
    let _ = writeln!(text, "\n{heading}");
    for row in table {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let blank = " ".repeat(widths[column] - display_width(cell));
            // Names lean to the left, figures to the right.
            match column {
                0 => line.extend([" ", cell, &blank]),
                _ => line.extend(["  ", &blank, cell]),
            }
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn figures(names: &[&str], rows: &[Row]) -> Table {
    let compared = names.len() > 1;
    let mut head = vec![String::new()];
    for name in names {
        head.extend([(*name).to_owned(), String::new()]);
    }
    if compared {
        head.extend(["difference".to_owned(), String::new(), "p".to_owned()]);
    }
    let mut table = vec![head];
    for row in rows {
        let mut cells = vec![row.name.clone()];
        let estimate = |estimate: Option<&_>| match estimate {
            Some(estimate) => [row.unit.value(estimate), row.unit.interval(estimate)],
            None => [NONE.to_owned(), String::new()],
        };
        cells.extend(estimate(row.subject.as_ref()));
        if compared {
            cells.extend(estimate(row.reference.as_ref()));
            cells.extend(match &row.difference {
                Some(difference) => {
                    let signed = |value| row.unit.signed(value);
                    let estimate = &difference.estimate;
                    [
                        signed(estimate.value),
                        format!("{} to {}", signed(estimate.low), signed(estimate.high)),
                        p_value(difference.p_value),
                    ]
                }
                None => [NONE.to_owned(), String::new(), NONE.to_owned()],
            });
        }
        table.push(cells);
    }
    table
}

fn outcomes(sets: &[&Outcomes]) -> Table {
    let reasons = rows::reasons(sets);
    let mut head: Vec<String> = ["", "images", "right", "wrong"].map(str::to_owned).into();
    head.extend(reasons.iter().map(|reason| words(*reason).to_owned()));
    let mut table = vec![head];
    for set in sets {
        let share = |n: usize| match set.n {
            0 => NONE.to_owned(),
            all => percent(n as f64 / all as f64),
        };
        let mut row = vec![
            set.name.clone(),
            count(set.n),
            share(set.accepted_right),
            share(set.accepted_wrong),
        ];
        row.extend(
            reasons
                .iter()
                .map(|reason| share(set.abstained_for(*reason))),
        );
        table.push(row);
    }
    table
}

fn scores(set: &OodFigures) -> Table {
    let mut table: Table = vec![["", "AUROC", "", "FPR95", ""].map(str::to_owned).into()];
    for figures in &set.scores {
        let asked = if set.gate == Some(figures.score) {
            " (the gate's)"
        } else {
            ""
        };
        table.push(vec![
            format!("{}{asked}", figures.score.as_str()),
            percent(figures.auroc.value),
            percent_interval(&figures.auroc),
            percent(figures.fpr95.value),
            percent_interval(&figures.fpr95),
        ]);
    }
    table
}
