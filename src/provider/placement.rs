//! Which provider each node of a graph was given to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Provider;

/// Every node of a graph with the provider that runs it, as ONNX Runtime assigned them: after the optimisations that do
/// not depend on the provider, and before the provider fuses or compiles what it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    nodes: Vec<PlacedNode>,
}

/// One node of a [`Placement`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacedNode {
    /// The node's name in the graph; may be empty, and ONNX Runtime names those that it makes.
    pub name: String,
    /// The operator, such as `MatMul`; operators of other domains than ONNX's with the domain before them.
    pub operator: String,
    /// The provider's name: [`Provider::name`], or ONNX Runtime's for one that clipgate does not know.
    pub provider: String,
}

impl Placement {
    pub(crate) fn new(nodes: Vec<PlacedNode>) -> Self {
        Self { nodes }
    }

    /// The nodes, in the order in which they were assigned.
    pub fn nodes(&self) -> &[PlacedNode] {
        &self.nodes
    }

    /// The nodes that `provider` does not run.
    pub fn outside(&self, provider: Provider) -> impl Iterator<Item = &PlacedNode> {
        self.nodes
            .iter()
            .filter(move |node| node.provider != provider.name())
    }

    /// How many nodes of each operator each provider runs: provider, operator, count.
    pub fn counts(&self) -> BTreeMap<&str, BTreeMap<&str, usize>> {
        let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for node in &self.nodes {
            let operators = counts.entry(&node.provider).or_default();
            *operators.entry(&node.operator).or_default() += 1;
        }
        counts
    }
}

impl PlacedNode {
    pub(crate) fn new(name: String, domain: &str, operator: &str, provider: &str) -> Self {
        let known = Provider::ALL
            .into_iter()
            .find(|known| known.onnxruntime_name() == provider);
        Self {
            name,
            operator: match domain {
                "" | "ai.onnx" => operator.to_owned(),
                domain => format!("{domain}.{operator}"),
            },
            provider: known.map_or_else(|| provider.to_owned(), String::from),
        }
    }
}
