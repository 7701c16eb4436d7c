//! Where the command keeps files of its own.

use std::io::{self, Write};
use std::path::Path;

use crate::doctor::finding::{Finding, Level};
use crate::provider::{CONTEXTS, PROVIDERS};
use crate::report;

/// Bytes that are tried to be written: more than any entry about providers, less than a graph for an NPU.
const TRIED: usize = 64 << 10;

/// `directory` is clipgate's folder in the user's cache directory, which need not be there yet.
pub(super) fn finding(directory: Option<&Path>) -> Finding {
    const NAME_IT: &str = "set XDG_CACHE_HOME to a folder that this user may write to";
    let Some(directory) = directory else {
        return Finding::new(
            "cache",
            Level::Note,
            "none: neither HOME nor XDG_CACHE_HOME names a folder, so nothing is kept between runs",
        )
        .advise(NAME_IT);
    };
    let name = report::path(directory);
    // Each that commands write to: one of them may be another user's, or a disk of its own.
    let folders = [
        directory.to_owned(),
        directory.join(PROVIDERS),
        directory.join(CONTEXTS),
    ];
    let refused = folders.iter().find_map(|folder| {
        let error = write(folder).err()?;
        Some(format!(
            "{} cannot be written ({error}): nothing is kept there between runs",
            report::path(folder)
        ))
    });
    let finding = match refused {
        None => Finding::new("cache", Level::Ok, format!("{name} can be written")),
        Some(what) => Finding::new("cache", Level::Warning, what)
            .advise(format!("make room there, or {NAME_IT}")),
    };
    finding.value("directory", name)
}

/// Writes a file to `folder`, or to where it would be made; gone again at once.
fn write(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let mut file = tempfile::tempfile_in(there.ok_or(io::ErrorKind::NotFound)?)?;
    file.write_all(&[0; TRIED])?;
    file.sync_all()
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
        let none = finding(None);
        assert_eq!(none.level, Level::Note);
        assert!(none.to_do.unwrap().starts_with("set XDG_CACHE_HOME"));
    }

    #[test]
    fn each_folder_in_it_is_tried() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir(cache.path().join(PROVIDERS)).unwrap();
        assert_eq!(finding(Some(cache.path())).level, Level::Ok);
        std::fs::write(cache.path().join(CONTEXTS), "no folder").unwrap();
        let refused = finding(Some(cache.path()));
        assert_eq!(refused.level, Level::Warning);
        assert!(refused.what.contains("contexts cannot"), "{}", refused.what);
    }
}
