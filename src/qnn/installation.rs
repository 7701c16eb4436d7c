//! What is loaded along with a plugin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::QnnOptions;
use crate::digest::Digest;

/// More files than any installation has.
const MOST_FILES: usize = 4096;

/// Names, sizes and times of the files that the plugin may load, and of the compiled graphs: the two libraries of a
/// [`Driver`](super::Driver) are not all of them. A provider that survived its first try may crash with others.
pub(crate) fn installation(options: &QnnOptions, contexts: &[PathBuf]) -> Digest {
    // By its whole path: a name alone has no folder, and the folder of one that begins with a dot has no name.
    let libraries = [options.library().to_owned(), options.backend()];
    let libraries = libraries.map(|library| library.canonicalize().unwrap_or(library));
    let folders = libraries.iter().filter_map(|library| library.parent());
    let mut files: BTreeSet<String> = folders
        .flat_map(|folder| [folder.to_owned(), bundled(folder)])
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.take(MOST_FILES))
        .filter_map(|entry| described(&entry.ok()?.path()))
        .collect();
    files.extend(contexts.iter().filter_map(|path| described(path)));
    let lines: Vec<String> = files.into_iter().collect();
    Digest::of(lines.join("\n").as_bytes())
}

/// Where a wheel keeps the libraries that its own are linked against: beside the package, `.libs` behind its name.
fn bundled(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".libs");
    PathBuf::from(name)
}

fn described(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok().filter(|file| file.is_file())?;
    Some(format!(
        "{path:?} {} {:?}",
        file.len(),
        file.modified().ok()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_beside_the_plugin_is_another_installation() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("qnn");
        let libs = folder.path().join("qnn.libs");
        for folder in [&package, &libs] {
            fs::create_dir(folder).unwrap();
        }
        let plugin = package.join("plugin.so");
        fs::write(&plugin, "plugin").unwrap();
        let options = QnnOptions::new(plugin);
        let context = folder.path().join("context.onnx");
        let contexts = [context.clone()];
        let now = || installation(&options, &contexts);
        let mut seen = vec![now()];
        for (path, content) in [
            (libs.join("libc++.so"), "one"),
            (libs.join("libc++.so"), "another"),
            (package.join("libQnnHtp.so"), "backend"),
            (context, "context"),
        ] {
            fs::write(path, content).unwrap();
            assert!(!seen.contains(&now()), "{content}");
            seen.push(now());
        }
        assert_eq!(now(), now());
    }
}
