//! What happens to files that are mapped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

const SIZE: usize = 40_000;

/// A mapped file of eights.
fn mapped() -> (TempDir, PathBuf, Mapping) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.ort");
    fs::write(&path, vec![8; SIZE]).unwrap();
    let mapping = Mapping::open(&path, SIZE as u64).unwrap().unwrap();
    (folder, path, mapping)
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

/// As foreign code reads the mapping.
fn byte(mapping: &Mapping, at: usize) -> u8 {
    #[expect(unsafe_code, reason = "a byte is read whatever it has become")]
    // SAFETY: within the mapping.
    unsafe {
        mapping.bytes().as_ptr().add(at).read_volatile()
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_writes_to_a_file_that_is_being_loaded() {
    use std::os::unix::fs::OpenOptionsExt;

    let (_folder, path, _) = mapped();
    if !matches!(Lease::of(&File::open(&path).unwrap()), Ok(Some(_))) {
        eprintln!(
            "SKIPPED: no leases on the file system of {}",
            path.display()
        );
        return;
    }
    let write = || {
        let mut options = File::options();
        options
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
    };
    let mapping = Mapping::open_to_load(&path, SIZE as u64).unwrap().unwrap();
    let error = mapping.releasing(|| write().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let _writer = write().unwrap();
    let while_it_is_written = Mapping::open_to_load(&path, SIZE as u64).unwrap();
    assert!(while_it_is_written.is_none());
}

#[test]
fn an_untouched_file_is_vouched_for() {
    let (_folder, _, mapping) = mapped();
    assert_eq!(mapping.digest(), Digest::of(&vec![8; SIZE]));
    let sum = mapping.releasing(|| {
        (0..SIZE)
            .map(|at| usize::from(byte(&mapping, at)))
            .sum::<usize>()
    });
    assert_eq!(sum, 8 * SIZE);
    mapping.check().unwrap();
}

#[test]
fn a_truncated_file_reads_as_zeros_and_is_an_error() {
    let (_folder, path, mapping) = mapped();
    let again = Mapping::open(&path, SIZE as u64).unwrap().unwrap();
    open(&path).set_len(5000).unwrap();
    assert_eq!(byte(&mapping, SIZE - 1), 0);
    assert_eq!(byte(&mapping, 9000), 0);
    assert!(mapping.guard.was_hit());
    assert!(!again.guard.was_hit());
    for mapping in [mapping, again] {
        let error = mapping.check().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Machine);
        assert!(error.to_string().contains("truncated"), "{error}");
    }
}

#[test]
fn a_file_that_grows_again_is_still_an_error() {
    let (_folder, path, mapping) = mapped();
    open(&path).set_len(0).unwrap();
    assert_eq!(byte(&mapping, 0), 0);
    fs::write(&path, vec![8; SIZE]).unwrap();
    assert!(mapping.check().is_err());
}

#[test]
fn a_file_written_to_is_an_error() {
    let (_folder, path, mapping) = mapped();
    open(&path).write_all(&[9]).unwrap();
    assert!(mapping.check().is_err());
    assert!(mapping.check().is_err(), "and stays one");
}

#[test]
fn a_write_whose_time_was_set_back_is_an_error() {
    let (_folder, path, mapping) = mapped();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = open(&path);
    file.write_all(&[9]).unwrap();
    file.set_modified(before).unwrap();
    assert!(mapping.check().is_err());
}

#[test]
fn a_rename_over_the_file_is_harmless() {
    let (folder, path, mapping) = mapped();
    let next = folder.path().join("next");
    fs::write(&next, vec![9; SIZE]).unwrap();
    fs::rename(&next, &path).unwrap();
    mapping.check().unwrap();
    assert_eq!(byte(&mapping, 0), 8);
    fs::remove_file(&path).unwrap();
    mapping.check().unwrap();
}
