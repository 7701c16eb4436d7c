//! Where the command keeps files of its own.

use std::path::Path;

use crate::doctor::finding::{Finding, Level};
use crate::report;

/// `directory` is clipgate's folder in the user's cache directory, which need not be there yet.
pub(super) fn finding(directory: Option<&Path>) -> Finding {
    const TO_DO: &str = "set XDG_CACHE_HOME to a folder that this user may write to";
    let Some(directory) = directory else {
        return Finding::new(
            "cache",
            Level::Note,
            "none: neither HOME nor XDG_CACHE_HOME names a folder, so nothing is kept between runs",
        )
        .advise(TO_DO);
    };
    let there = directory.ancestors().find(|folder| folder.exists());
    // Gone again at once; this is what the first file in it would need.
    let written = there.map(tempfile::tempfile_in);
    let name = report::path(directory);
    let finding = match written {
        Some(Ok(_)) => Finding::new("cache", Level::Ok, format!("{name} can be written")),
        Some(Err(error)) => Finding::new(
            "cache",
            Level::Warning,
            format!("{name} cannot be written ({error}): nothing is kept between runs"),
        )
        .advise(TO_DO),
        None => Finding::new("cache", Level::Warning, format!("{name} is nowhere")).advise(TO_DO),
    };
    finding.value("directory", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_is_not_there_yet_is_tried_where_it_would_be_made() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("not/yet/clipgate");
        assert_eq!(finding(Some(&cache)).level, Level::Ok);
        assert!(!home.path().join("not").exists());
        std::fs::write(home.path().join("file"), "").unwrap();
        let under_a_file = home.path().join("file/clipgate");
        let refused = finding(Some(&under_a_file));
        assert_eq!(refused.level, Level::Warning);
        assert!(
            refused.what.contains("cannot be written"),
            "{}",
            refused.what
        );
        assert_eq!(finding(None).level, Level::Note);
    }
}
