//! What came of each provider that was tried.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Placement, Provider};

/// Nodes that a report in words names at most.
const NAMED: usize = 5;

/// One provider that was tried, and what came of it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderReport {
    /// What was tried.
    pub provider: Provider,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: ProviderOutcome,
    /// Cosine of the self-test's embedding to the expected one, where it ran.
    pub cosine: Option<f32>,
    /// The median time of one run, where providers were measured against each other.
    pub median: Option<Duration>,
    /// Which nodes it runs, where that was recorded: for every provider but the CPU, and for the CPU on request
    /// ([`SessionOptions::with_placement`](crate::SessionOptions::with_placement)).
    #[serde(skip)]
    pub placement: Option<Placement>,
}

/// Why a provider was chosen or passed over.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ProviderOutcome {
    /// It runs the graph.
    Chosen,
    /// This machine's library does not hold it, or a plugin or device that it needs is not there.
    Absent {
        /// What is missing.
        reason: String,
    },
    /// It does not load the graph, or runs no node of it.
    Refused {
        /// Its words, or the first error that ONNX Runtime logged meanwhile.
        reason: String,
    },
    /// It would leave nodes of the graph on the CPU.
    LeavesNodes {
        /// Of how many nodes.
        nodes: usize,
        /// How many stay on the CPU.
        on_cpu: usize,
        /// The first of them, with their operators.
        named: Vec<String>,
    },
    /// The self-test's embedding was wrong.
    Wrong {
        /// What was wrong, with the cosine.
        reason: String,
    },
    /// The process that tried it first ended by a signal, by itself, or not at all.
    Crashed {
        /// How it ended.
        reason: String,
    },
    /// Another provider is faster.
    Slower,
}

impl ProviderReport {
    pub(crate) fn new(provider: Provider, outcome: ProviderOutcome) -> Self {
        Self {
            provider,
            outcome,
            cosine: None,
            median: None,
            placement: None,
        }
    }

    /// Whether this is the provider that runs the graph.
    pub fn is_chosen(&self) -> bool {
        self.outcome == ProviderOutcome::Chosen
    }
}

impl ProviderOutcome {
    /// Whether something went wrong that may go right another time: it crashed, refused or computed wrongly.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Wrong { .. } | Self::Crashed { .. }
        )
    }

    pub(crate) fn leaves(provider: Provider, placement: &Placement) -> Self {
        Self::LeavesNodes {
            nodes: placement.nodes().len(),
            on_cpu: placement.outside(provider).count(),
            named: placement
                .outside(provider)
                .take(NAMED)
                .map(|node| format!("{} ({})", node.name, node.operator))
                .collect(),
        }
    }
}

impl fmt::Display for ProviderReport {
    /// A line for people: `qnn: absent: no plugin library was named`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.provider, self.outcome)?;
        if let Some(median) = self.median {
            write!(f, ", {:.2} ms a run", median.as_secs_f64() * 1e3)?;
        }
        let outside = self
            .placement
            .as_ref()
            .filter(|_| self.is_chosen())
            .map_or(0, |placement| placement.outside(self.provider).count());
        if outside > 0 {
            write!(f, ", {outside} nodes stay on the CPU")?;
        }
        Ok(())
    }
}

impl fmt::Display for ProviderOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("chosen"),
            Self::Absent { reason } => write!(f, "absent: {reason}"),
            Self::Refused { reason } => write!(f, "refused the graph: {reason}"),
            Self::LeavesNodes {
                nodes,
                on_cpu,
                named,
            } => {
                let more = if *on_cpu > named.len() { ", ..." } else { "" };
                write!(
                    f,
                    "leaves {on_cpu} of {nodes} nodes on the CPU: {}{more}",
                    named.join(", ")
                )
            }
            Self::Wrong { reason } => write!(f, "computes wrongly: {reason}"),
            Self::Crashed { reason } => write!(f, "crashed in a process of its own: {reason}"),
            Self::Slower => f.write_str("slower"),
        }
    }
}
