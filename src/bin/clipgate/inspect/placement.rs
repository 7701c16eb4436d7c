//! `clipgate inspect --placement`: which provider runs which nodes of the image graph.

use std::collections::BTreeSet;

use clipgate::{ImageEncoder, Placement, ProviderReport};
use serde_json::{Value, json};

/// Nodes outside a provider that are listed one by one.
const LISTED: usize = 40;

/// What `--format json` says of each provider that was tried.
pub(super) fn json(encoder: &ImageEncoder) -> Vec<Value> {
    let described = |report: &ProviderReport| {
        let placement = report.placement.as_ref();
        json!({
            "report": report,
            "words": report.to_string(),
            "median_ms": report.median.map(|median| median.as_secs_f64() * 1e3),
            "operators": placement.map(Placement::counts),
            "nodes": placement.map(Placement::nodes),
        })
    };
    encoder.provider_reports().iter().map(described).collect()
}

/// A line for each provider that was tried, and a table for each whose nodes are known.
pub(super) fn describe(encoder: &ImageEncoder) -> String {
    let mut lines = Vec::new();
    for report in encoder.provider_reports() {
        let cosine = report.cosine.map_or_else(String::new, |cosine| {
            format!("; the self-test's embedding has cosine {cosine:.4} to the expected one")
        });
        lines.push(format!("{report}{cosine}"));
        if let Some(placement) = &report.placement {
            lines.extend(table(placement));
            lines.extend(outside(report, placement));
        }
    }
    lines.join("\n")
}

fn table(placement: &Placement) -> Vec<String> {
    let counts = placement.counts();
    let operators: BTreeSet<&str> = counts.values().flat_map(|of| of.keys().copied()).collect();
    let row = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>10}")).collect();
        format!("  {name:<24}{cells}")
    };
    let mut lines = vec![row(
        "nodes",
        counts.keys().map(|name| (*name).to_owned()).collect(),
    )];
    for operator in operators {
        let cell = |count: Option<&usize>| count.map_or_else(|| "-".to_owned(), usize::to_string);
        let cells = counts.values().map(|of| cell(of.get(operator)));
        lines.push(row(operator, cells.collect()));
    }
    let sums = counts
        .values()
        .map(|of| of.values().sum::<usize>().to_string());
    lines.push(row("all", sums.collect()));
    lines
}

/// The nodes that the provider does not run, by name.
fn outside(report: &ProviderReport, placement: &Placement) -> Vec<String> {
    let total = placement.outside(report.provider).count();
    let mut lines: Vec<String> = placement
        .outside(report.provider)
        .take(LISTED)
        .map(|node| format!("  on {}: {} ({})", node.provider, node.name, node.operator))
        .collect();
    if total > LISTED {
        lines.push(format!("  and {} more", total - LISTED));
    }
    lines
}
