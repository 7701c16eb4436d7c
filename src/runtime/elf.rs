//! What an ELF header says about a shared library, read before the dynamic loader maps it.
//!
//! `dlopen` maps the segments a header promises without asking whether the file holds them: touching the missing part
//! of a file that was cut short is a SIGBUS, not an error. Fields as in the System V ABI, chapters 4 and 5.

use std::env::consts::ARCH;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// The length of the longer header, ELF64's; a library of either class is longer than this.
const HEADER_LEN: usize = 64;
const MAGIC: &[u8; 4] = b"\x7fELF";
const TYPE_SHARED: u64 = 3;
const SEGMENT_LOAD: u64 = 1;
/// The most program headers; a shared library has about ten.
const MAX_SEGMENTS: u64 = 256;

/// Where this process's class of ELF keeps what is read here, in bytes.
struct Layout {
    class: u8,
    word: usize,
    segments_at: usize,
    sections_at: usize,
    segment_len_at: usize,
    section_len_at: usize,
    segment_len: usize,
    segment_offset_at: usize,
    segment_size_at: usize,
}

#[cfg(target_pointer_width = "64")]
const LAYOUT: Layout = Layout {
    class: 2,
    word: 8,
    segments_at: 32,
    sections_at: 40,
    segment_len_at: 54,
    section_len_at: 58,
    segment_len: 56,
    segment_offset_at: 8,
    segment_size_at: 32,
};

#[cfg(target_pointer_width = "32")]
const LAYOUT: Layout = Layout {
    class: 1,
    word: 4,
    segments_at: 28,
    sections_at: 32,
    segment_len_at: 42,
    section_len_at: 46,
    segment_len: 32,
    segment_offset_at: 4,
    segment_size_at: 16,
};

/// Checks that `path` is a shared library for this process's architecture and that the file holds all of it.
pub(super) fn check(path: &Path) -> Result<()> {
    let unreadable = |error| Error::machine("cannot be read").with_source(error);
    let mut file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len < HEADER_LEN as u64 {
        return Err(Error::machine(format!(
            "is no shared library: it has {len} bytes"
        )));
    }
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header).map_err(unreadable)?;
    if !header.starts_with(MAGIC) {
        return Err(Error::machine("is no shared library: it is not ELF"));
    }
    check_architecture(&header)?;
    if number(&header, 16, 2) != TYPE_SHARED {
        return Err(Error::machine("is an ELF file, but no shared library"));
    }

    let segments = number(&header, LAYOUT.segment_len_at + 2, 2);
    if number(&header, LAYOUT.segment_len_at, 2) != LAYOUT.segment_len as u64
        || segments > MAX_SEGMENTS
    {
        return Err(Error::machine("is damaged: its ELF header is wrong"));
    }
    let segments_start = number(&header, LAYOUT.segments_at, LAYOUT.word);
    let segments_len = segments as usize * LAYOUT.segment_len;
    check_end(len, segments_start, segments_len as u64)?;
    let sections = number(&header, LAYOUT.section_len_at + 2, 2);
    let section_len = number(&header, LAYOUT.section_len_at, 2);
    let sections_start = number(&header, LAYOUT.sections_at, LAYOUT.word);
    check_end(len, sections_start, sections * section_len)?;

    let mut table = vec![0; segments_len];
    file.seek(SeekFrom::Start(segments_start))
        .map_err(unreadable)?;
    file.read_exact(&mut table).map_err(unreadable)?;
    for segment in table.chunks_exact(LAYOUT.segment_len) {
        if number(segment, 0, 4) == SEGMENT_LOAD {
            let offset = number(segment, LAYOUT.segment_offset_at, LAYOUT.word);
            let size = number(segment, LAYOUT.segment_size_at, LAYOUT.word);
            check_end(len, offset, size)?;
        }
    }
    Ok(())
}

fn check_architecture(header: &[u8; HEADER_LEN]) -> Result<()> {
    let byte_order = if cfg!(target_endian = "big") { 2 } else { 1 };
    if header[4] != LAYOUT.class || header[5] != byte_order {
        return Err(Error::machine(format!(
            "is for an architecture of another word size or byte order: this process is {ARCH}"
        )));
    }
    let machine = number(header, 18, 2);
    match machine_of(ARCH) {
        Some(expected) if machine != expected => {
            let arch = ["x86", "arm", "x86_64", "aarch64", "riscv64"]
                .into_iter()
                .find(|arch| machine_of(arch) == Some(machine))
                .unwrap_or("another architecture");
            Err(Error::machine(format!(
                "is for {arch} (ELF machine {machine}): this process is {ARCH}"
            )))
        }
        _ => Ok(()),
    }
}

/// The `e_machine` of an architecture, by Rust's name, where ONNX Runtime is built for it.
fn machine_of(arch: &str) -> Option<u64> {
    match arch {
        "x86" => Some(3),
        "arm" => Some(40),
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        "riscv64" => Some(243),
        _ => None,
    }
}

fn check_end(len: u64, start: u64, part: u64) -> Result<()> {
    let end = start.saturating_add(part);
    if end > len {
        return Err(Error::machine(format!(
            "is cut short: it has {len} of at least {end} bytes"
        )));
    }
    Ok(())
}

/// The unsigned number of `width` bytes (at most 8) at `at`, in this process's byte order.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    let digits = bytes.iter().skip(at).take(width);
    let append = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
    if cfg!(target_endian = "big") {
        digits.fold(0, append)
    } else {
        digits.rev().fold(0, append)
    }
}
