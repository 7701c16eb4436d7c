//! Output files that appear whole or not at all.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use clipgate::{Error, ErrorKind, Result};
use safetensors::tensor::{Dtype, TensorView};
use tempfile::NamedTempFile;

/// Writes to a temporary file beside `path`, syncs it, and renames it into place.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |error: std::io::Error| {
        Error::new(
            ErrorKind::Machine,
            format!("{}: cannot be written", path.display()),
        )
        .with_source(error)
    };
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    allow_reading(&file).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are private; an output is as readable as any file that the user makes.
#[cfg(unix)]
fn allow_reading(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn allow_reading(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}

/// Writes one f32 tensor, row by row, with a JSON list in the metadata that names the rows.
pub(crate) fn write_tensor(
    path: &Path,
    tensor: &str,
    shape: Vec<usize>,
    values: &[f32],
    rows: (&str, &[String]),
) -> Result<()> {
    let refused = |error: safetensors::SafeTensorError| {
        Error::new(
            ErrorKind::Caller,
            format!("{}: cannot be written", path.display()),
        )
        .with_source(error)
    };
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map_err(refused)?;
    let names = serde_json::Value::from(rows.1.to_vec()).to_string();
    let metadata = HashMap::from([(rows.0.to_owned(), names)]);
    let bytes = safetensors::serialize([(tensor, view)], Some(metadata)).map_err(refused)?;
    write_whole(path, &bytes)
}
