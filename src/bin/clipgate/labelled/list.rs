//! Lists of image files: a folder a label, a CSV of paths and labels, or any folder of images.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clipgate::{Error, ErrorKind, LabelBank, Result};

use crate::report;

/// The largest CSV file, in bytes.
const MAX_CSV_BYTES: u64 = 256 << 20;

/// The deepest folder below the one named: deeper only by a link that leads back.
const MAX_DEPTH: usize = 32;

/// Unknown names that a message lists.
const NAMED_UNKNOWN: usize = 5;

/// Names at least this similar (Jaro-Winkler, 0 to 1) are suggested, as clap does for options.
const ALIKE: f64 = 0.8;

/// Image files in a fixed order, each with the row of its label where labels are asked.
#[derive(Debug, Default)]
pub(crate) struct ImageList {
    paths: Vec<PathBuf>,
    labels: Vec<usize>,
    strays: Vec<(PathBuf, Error)>,
}

impl ImageList {
    /// Images whose labels are known, from a folder with one sub-folder a label, or from a CSV `path,label` whose
    /// paths are relative to itself. Labels are names of `bank`, case ignored, or WordNet ids.
    ///
    /// # Errors
    /// `Caller` if there is no image, or a label is none of the bank's; it is named with what it may have meant.
    pub(crate) fn labelled(path: &Path, bank: &LabelBank) -> Result<Self> {
        let (list, unknown) = Self::only_known(path, bank)?;
        match unknown.is_empty() {
            true => Ok(list),
            false => {
                let kind = if path.is_dir() { "folder" } else { "label" };
                let error = Names::of(bank).refuse(kind, &unknown);
                Err(error.at(path.display()))
            }
        }
    }

    /// As [`labelled`](Self::labelled), but images of labels that the bank does not have are left out; their labels
    /// are returned beside the list.
    ///
    /// # Errors
    /// `Caller` if there is no image of any label.
    pub(crate) fn only_known(path: &Path, bank: &LabelBank) -> Result<(Self, Vec<String>)> {
        let known = Names::of(bank);
        let read = if path.is_dir() {
            Self::folders(path, &known)
        } else {
            // Reading the file names it.
            let bytes = clipgate::file::read_file(path, MAX_CSV_BYTES)?;
            let root = path.parent().unwrap_or(Path::new(""));
            Self::csv((*bytes).as_ref(), root, &known)
        };
        let (list, unknown) = read.map_err(|error| error.at(path.display()))?;
        match unknown.is_empty() {
            true => list.not_empty().map(|list| (list, unknown)),
            false => Ok((list, unknown)),
        }
        .map_err(|error| error.at(path.display()))
    }

    /// All images below a folder, whatever they show.
    ///
    /// # Errors
    /// `Caller` if there is none.
    pub(crate) fn unlabelled(folder: &Path) -> Result<Self> {
        let mut list = Self::default();
        let mut hidden = 0;
        let listed = collect(folder, 0, &mut list.paths, &mut hidden);
        note_hidden(folder, hidden);
        listed
            .map(|()| list)
            .and_then(Self::not_empty)
            .map_err(|error| error.at(folder.display()))
    }

    /// The files, in the order in which they are read.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The row of the label of the file at `place`.
    pub(crate) fn label(&self, place: usize) -> Option<usize> {
        self.labels.get(place).copied()
    }

    /// Files that belong to no label, and why.
    pub(crate) fn strays(&self) -> &[(PathBuf, Error)] {
        &self.strays
    }

    fn folders(root: &Path, known: &Names<'_>) -> Result<(Self, Vec<String>)> {
        let mut list = Self::default();
        let mut unknown = Vec::new();
        let mut hidden = 0;
        for entry in entries(root)? {
            let name = entry
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name.starts_with('.') {
                hidden += 1;
            } else if !entry.is_dir() {
                let error = refused("is in no folder that is named after a label");
                list.strays.push((entry.clone(), error.at(entry.display())));
            } else if let Some(row) = known.row(&name) {
                collect(&entry, 0, &mut list.paths, &mut hidden)?;
                list.labels.resize(list.paths.len(), row);
            } else {
                unknown.push(name);
            }
        }
        note_hidden(root, hidden);
        Ok((list, unknown))
    }

    fn csv(content: &[u8], root: &Path, known: &Names<'_>) -> Result<(Self, Vec<String>)> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(content);
        let mut list = Self::default();
        let mut lines = HashMap::new();
        let (mut unknown, mut columns) = (Vec::new(), (0, 1));
        for (place, record) in reader.records().enumerate() {
            let record = record.map_err(|error| refused("not a CSV file").with_source(error))?;
            let line = record.position().map_or(0, csv::Position::line);
            if let (0, Some(found)) = (place, header(&record)) {
                columns = found;
                continue;
            }
            let (Some(file), Some(label)) = (record.get(columns.0), record.get(columns.1)) else {
                return Err(refused("a path and a label are needed").at(format!("line {line}")));
            };
            let file = root.join(file);
            let Some(row) = known.row(label) else {
                unknown.push(label.to_owned());
                continue;
            };
            if let Some(first) = lines.insert(file.clone(), line) {
                return Err(
                    refused(&format!("{} is in line {first} too", file.display()))
                        .at(format!("line {line}")),
                );
            }
            list.paths.push(file);
            list.labels.push(row);
        }
        unknown.sort();
        unknown.dedup();
        Ok((list, unknown))
    }

    fn not_empty(self) -> Result<Self> {
        match (self.paths.is_empty(), self.strays.len()) {
            (false, _) => Ok(self),
            (true, 0) => Err(refused("no image")),
            (true, strays) => Err(refused(&format!(
                "no image in a folder that is named after a label ({strays} files lie in no such folder)"
            ))),
        }
    }
}

/// A bank's labels by every name that a user may give them.
struct Names<'a> {
    bank: &'a LabelBank,
    rows: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    fn of(bank: &'a LabelBank) -> Self {
        let mut rows = HashMap::new();
        for (row, label) in bank.labels().iter().enumerate() {
            rows.insert(label.name().trim().to_lowercase(), row);
        }
        // A name wins over another label's WordNet id.
        for (row, label) in bank.labels().iter().enumerate() {
            if let Some(wnid) = label.wnid() {
                rows.entry(wnid.to_lowercase()).or_insert(row);
            }
        }
        Self { bank, rows }
    }

    /// The row of a label; `school_bus` also names "school bus", because folders are often written so.
    fn row(&self, name: &str) -> Option<usize> {
        let name = name.trim().to_lowercase();
        let spaced = || self.rows.get(&name.replace('_', " "));
        self.rows.get(&name).or_else(spaced).copied()
    }

    fn refuse(&self, kind: &str, unknown: &[String]) -> Error {
        let named: Vec<String> = unknown
            .iter()
            .take(NAMED_UNKNOWN)
            .map(|name| match self.alike(name) {
                Some(label) => format!("{name:?} (did you mean {label:?}?)"),
                None => format!("{name:?}"),
            })
            .collect();
        let more = match unknown.len().saturating_sub(NAMED_UNKNOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let count = self.bank.labels().len();
        refused(&format!(
            "{kind} {}{more}: not among the {count} labels of the bank",
            named.join(", ")
        ))
    }

    fn alike(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.bank
            .labels()
            .iter()
            .map(|label| {
                (
                    strsim::jaro_winkler(&name, &label.name().to_lowercase()),
                    label,
                )
            })
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, label)| label.name())
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Caller, why)
}

/// Where path and label stand, if the first record is a header.
fn header(record: &csv::StringRecord) -> Option<(usize, usize)> {
    let place = |names: &[&str]| {
        record
            .iter()
            .position(|cell| names.contains(&cell.to_lowercase().as_str()))
    };
    Some((
        place(&["path", "file", "filename", "image"])?,
        place(&["label", "class"])?,
    ))
}

/// What a folder holds, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Machine, "cannot be listed")
            .with_source(error)
            .at(folder.display())
    };
    let mut paths = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Adds every file below a folder but hidden ones, which are counted.
fn collect(
    folder: &Path,
    depth: usize,
    paths: &mut Vec<PathBuf>,
    hidden: &mut usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        let rule = format!("more than {MAX_DEPTH} folders deep: does a link lead back?");
        return Err(refused(&rule).at(folder.display()));
    }
    for path in entries(folder)? {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            *hidden += 1;
        } else if path.is_dir() {
            collect(&path, depth + 1, paths, hidden)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn note_hidden(folder: &Path, hidden: usize) {
    if hidden > 0 {
        report::note(&format!(
            "{}: left out what is hidden (names that begin with a dot: {hidden})",
            folder.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clipgate::Label;

    fn bank() -> LabelBank {
        let labels = ["cat", "school bus"].map(|name| Label::new(name).unwrap());
        LabelBank::new(labels.into(), vec![1.0, 0.0, 0.0, 1.0], 2).unwrap()
    }

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }

    #[test]
    fn folders_name_labels_in_any_case_and_depth() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "CAT/b.jpg",
                "CAT/a.jpg",
                "school_bus/deep/c.jpg",
                "School Bus/d.jpg",
                "stray.txt",
                ".x/e",
            ],
        );
        let list = ImageList::labelled(root.path(), &bank()).unwrap();
        let names: Vec<_> = list
            .paths()
            .iter()
            .map(|path| path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["a.jpg", "b.jpg", "d.jpg", "c.jpg"]);
        assert_eq!(list.labels, [0, 0, 1, 1]);
        assert!(list.strays()[0].1.to_string().contains("stray.txt"));
    }

    #[test]
    fn a_name_that_is_no_label_is_refused_with_what_it_may_mean() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &["cats/a.jpg", "school bus/b.jpg", "zebra/c.jpg"],
        );
        let error = ImageList::labelled(root.path(), &bank())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"cats\" (did you mean \"cat\"?), \"zebra\""),
            "{error}"
        );
        assert!(!error.contains('\n'));
        let empty = tempfile::tempdir().unwrap();
        let error = ImageList::labelled(empty.path(), &bank()).unwrap_err();
        assert!(error.to_string().ends_with("no image"));
    }

    #[test]
    fn a_csv_is_read_with_and_without_a_header() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("list.csv");
        for (text, rows) in [
            ("a.jpg,cat\n\"with, comma.jpg\",SCHOOL BUS\n", vec![0, 1]),
            ("\u{feff}Label,note,Path\r\ncat,x,a.jpg\r\n", vec![0]),
        ] {
            fs::write(&file, text).unwrap();
            let list = ImageList::labelled(&file, &bank()).unwrap();
            assert_eq!(list.labels, rows);
            assert_eq!(list.paths()[0], root.path().join("a.jpg"));
        }
        for (text, says) in [
            (
                "a.jpg,cat\nb.jpg\n",
                "line 2: a path and a label are needed",
            ),
            ("a.jpg,cat\na.jpg,school bus\n", "line 2: "),
            ("a.jpg,catt\n", "\"catt\" (did you mean \"cat\"?)"),
            ("path,label\n", "no image"),
            ("a.jpg,\u{fffd}\n", "label \"\u{fffd}\""),
        ] {
            fs::write(&file, text).unwrap();
            let error = ImageList::labelled(&file, &bank()).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
