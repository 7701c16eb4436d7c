//! Banks of texts in a plane, for tests: cosines are those of the angles between them.

use crate::bank::LabelBank;
use crate::label::Label;

/// Names with their angles.
pub(super) fn bank(texts: &[(&str, f32)]) -> LabelBank {
    let labels = texts
        .iter()
        .map(|(name, _)| Label::new(name).unwrap())
        .collect();
    let rows = texts
        .iter()
        .flat_map(|(_, angle)| [angle.cos(), angle.sin()])
        .collect();
    LabelBank::new(labels, rows, 2).unwrap()
}

pub(super) fn names(labels: &[Label]) -> Vec<&str> {
    labels.iter().map(Label::name).collect()
}
