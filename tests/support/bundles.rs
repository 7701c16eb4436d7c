//! Copies of the pocket bundle, to be damaged.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clipgate::Digest;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of `models/pocket` in a folder of its own.
pub(crate) struct BundleCopy {
    folder: TempDir,
}

impl BundleCopy {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        let manifest = fs::read(pocket.join("manifest.json")).unwrap();
        let json: Value = serde_json::from_slice(&manifest).unwrap();
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        for name in json["files"].as_object().unwrap().keys() {
            fs::copy(pocket.join(name), folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    /// Changes a file and leaves the manifest as it is: damage.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        change(&mut bytes);
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Changes a file and its entry in the manifest: another maker's bundle.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
        self.edit_manifest(|manifest| {
            manifest["files"][name]["sha256"] = Digest::of(bytes).to_string().into();
            manifest["files"][name]["bytes"] = bytes.len().into();
        });
    }

    /// Takes a role and its file out of the bundle.
    pub(crate) fn remove(&self, role: &str, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
        self.edit_manifest(|manifest| {
            manifest.as_object_mut().unwrap().remove(role);
            manifest["files"].as_object_mut().unwrap().remove(name);
        });
    }

    pub(crate) fn edit_manifest(&self, edit: impl FnOnce(&mut Value)) {
        let mut manifest: Value = serde_json::from_slice(&self.read("manifest.json")).unwrap();
        edit(&mut manifest);
        fs::write(self.file("manifest.json"), manifest.to_string()).unwrap();
    }

    pub(crate) fn edit_calibration(&self, edit: impl FnOnce(&mut Value)) {
        let mut calibration: Value =
            serde_json::from_slice(&self.read("calibration.json")).unwrap();
        edit(&mut calibration);
        self.replace("calibration.json", calibration.to_string().as_bytes());
    }

    /// Rewrites the self-test with other tensors.
    pub(crate) fn edit_selftest(
        &self,
        edit: impl FnOnce(&mut HashMap<String, (Vec<usize>, Vec<f32>)>),
    ) {
        let bytes = self.read("selftest.safetensors");
        let mut tensors: HashMap<String, (Vec<usize>, Vec<f32>)> = SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(name, view)| {
                (
                    name.to_owned(),
                    (
                        view.shape().to_vec(),
                        bytemuck::pod_collect_to_vec(view.data()),
                    ),
                )
            })
            .collect();
        edit(&mut tensors);
        let views = tensors.iter().map(|(name, (shape, values))| {
            (
                name,
                TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap(),
            )
        });
        self.replace(
            "selftest.safetensors",
            &safetensors::serialize(views, None).unwrap(),
        );
    }
}
