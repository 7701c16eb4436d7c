//! The invariants of src/docs/architecture.md, held against the source.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const CHAPTER: &str = include_str!("../src/docs/architecture.md");

fn source(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(relative)
}

/// Module names by floor, as the chapter's table lists them.
fn floors() -> HashMap<&'static str, usize> {
    let mut floors = HashMap::new();
    for line in CHAPTER.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let floor = cells
            .get(1)
            .and_then(|cell| cell.split(' ').next()?.parse().ok());
        if let (Some(floor), Some(modules)) = (floor, cells.get(2)) {
            for module in modules.split('`').filter(|name| !name.trim().is_empty()) {
                floors.insert(module, floor);
            }
        }
    }
    floors
}

/// Every file of the library with its module, without files of tests; the tests inside a file are cut off.
fn library() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![source("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() && !path.ends_with("bin") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(source("")).unwrap().to_owned();
                let module = relative
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_str()
                    .unwrap();
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .split("#[cfg(test)]\nmod tests")
                    .next()
                    .unwrap()
                    .to_owned();
                files.push((module.trim_end_matches(".rs").to_owned(), relative, code));
            }
        }
    }
    files
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn every_module_has_a_floor() {
    let floors = floors();
    for (module, path, _) in library() {
        assert!(
            module == "lib" || floors.contains_key(module.as_str()),
            "{} is on no floor",
            path.display()
        );
    }
}

#[test]
fn a_file_imports_from_its_own_floor_or_a_lower_one() {
    let floors = floors();
    let mut wrong = Vec::new();
    for (module, path, text) in library() {
        let Some(own) = floors.get(module.as_str()) else {
            continue;
        };
        for line in code_lines(&text) {
            for import in line.split("crate::").skip(1) {
                let name: String = import
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if floors.get(name.as_str()).is_some_and(|floor| floor > own) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_session_names_ort() {
    for (module, path, text) in library() {
        // Not as the end of another name.
        let names_ort = |line: &str| {
            line.match_indices("ort::").any(|(place, _)| {
                let before = line[..place].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        };
        let names_it = code_lines(&text).any(names_ort);
        assert!(
            module == "session" || !names_it,
            "{} names ort",
            path.display()
        );
    }
}

#[test]
fn the_library_never_prints_or_reads_the_environment() {
    for (_, path, text) in library() {
        for forbidden in [
            "println!",
            "eprintln!",
            "print!(",
            "dbg!",
            "env::var",
            "TcpStream",
            "process::exit",
        ] {
            let found = code_lines(&text).find(|line| line.contains(forbidden));
            assert!(
                found.is_none(),
                "{}: {}",
                path.display(),
                found.unwrap_or_default()
            );
        }
    }
}
