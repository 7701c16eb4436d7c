//! Damaged, wrong, newer and malicious bundles: each a clear error that names the file and the rule.

use std::fs;

use clipgate::{Bundle, Classifier, Error, ErrorKind};

use crate::support::bundles::BundleCopy;
use crate::support::runtime;

/// What was done to a bundle, and what the error must say.
struct Case {
    name: &'static str,
    damage: fn(&BundleCopy),
    kind: ErrorKind,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a flipped byte in the graph",
        damage: |bundle| bundle.damage("image_encoder.onnx", |bytes| bytes[1000] ^= 1),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "sha256", "damaged"],
    },
    Case {
        name: "a flipped byte in the labels",
        damage: |bundle| {
            bundle.damage("labels.safetensors", |bytes| {
                *bytes.last_mut().unwrap() ^= 1
            })
        },
        kind: ErrorKind::Bundle,
        says: &["labels.safetensors", "sha256"],
    },
    Case {
        name: "a truncated graph",
        damage: |bundle| bundle.damage("image_encoder.onnx", |bytes| bytes.truncate(5000)),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "5000 bytes"],
    },
    Case {
        name: "an empty graph",
        damage: |bundle| bundle.damage("image_encoder.onnx", Vec::clear),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "empty"],
    },
    Case {
        name: "a graph that has grown",
        damage: |bundle| bundle.damage("image_encoder.onnx", |bytes| bytes.push(0)),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "bytes"],
    },
    Case {
        name: "a missing graph",
        damage: |bundle| fs::remove_file(bundle.file("image_encoder.onnx")).unwrap(),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "cannot be read", "No such file"],
    },
    Case {
        name: "a directory for a file",
        damage: |bundle| {
            fs::remove_file(bundle.file("labels.safetensors")).unwrap();
            fs::create_dir(bundle.file("labels.safetensors")).unwrap();
        },
        kind: ErrorKind::Bundle,
        says: &["labels.safetensors", "a directory"],
    },
    Case {
        name: "no manifest",
        damage: |bundle| fs::remove_file(bundle.file("manifest.json")).unwrap(),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "cannot be read"],
    },
    Case {
        name: "a manifest that is no JSON",
        damage: |bundle| fs::write(bundle.file("manifest.json"), "schema: 1").unwrap(),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "not a bundle"],
    },
    Case {
        name: "a manifest without a required field",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| {
                manifest.as_object_mut().unwrap().remove("logit_scale");
            });
        },
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "logit_scale"],
    },
    Case {
        name: "a newer schema",
        damage: |bundle| bundle.edit_manifest(|manifest| manifest["schema"] = 2.into()),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "schema 2", "update"],
    },
    Case {
        name: "a required feature of a later reader",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| manifest["requires"] = vec!["sigmoid-loss"].into())
        },
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "sigmoid-loss"],
    },
    Case {
        name: "a logit bias beyond belief",
        damage: |bundle| bundle.edit_manifest(|manifest| manifest["logit_bias"] = 1e30.into()),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "logit_bias"],
    },
    Case {
        name: "a logit bias that is no number",
        damage: |bundle| bundle.edit_manifest(|manifest| manifest["logit_bias"] = "-10".into()),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "expected f32"],
    },
    Case {
        name: "a clean-up of another kind",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| manifest["text_encoder"]["clean"] = "clips".into())
        },
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "clips"],
    },
    Case {
        name: "a way to resize of another kind",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| manifest["preprocessing"]["resize"] = "longest".into())
        },
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "longest"],
    },
    Case {
        name: "a recipe that is no object",
        damage: |bundle| bundle.edit_manifest(|manifest| manifest["recipe"] = "by hand".into()),
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "expected a map"],
    },
    Case {
        name: "no labels",
        damage: |bundle| bundle.remove("labels", "labels.safetensors"),
        kind: ErrorKind::Caller,
        says: &["no labels of its own", "--labels", "--bank"],
    },
    Case {
        name: "no calibration",
        damage: |bundle| bundle.remove("calibration", "calibration.json"),
        kind: ErrorKind::Policy,
        says: &["no calibration", "--calibration", "labelled images"],
    },
    Case {
        name: "a wrong digest",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| {
                manifest["files"]["labels.safetensors"]["sha256"] = "0".repeat(64).into();
            });
        },
        kind: ErrorKind::Bundle,
        says: &["labels.safetensors", "000000"],
    },
    Case {
        name: "a digest that is none",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| {
                manifest["files"]["labels.safetensors"]["sha256"] = "abc".into()
            });
        },
        kind: ErrorKind::Bundle,
        says: &["manifest.json", "hexadecimal"],
    },
    Case {
        name: "a path out of the bundle",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| {
                let entry = manifest["files"]["labels.safetensors"].clone();
                manifest["files"]["../labels.safetensors"] = entry;
                manifest["labels"]["file"] = "../labels.safetensors".into();
            });
        },
        kind: ErrorKind::Bundle,
        says: &["../labels.safetensors", "plain file name"],
    },
    Case {
        name: "a role whose file is not listed",
        damage: |bundle| {
            bundle
                .edit_manifest(|manifest| manifest["selftest"]["file"] = "other.safetensors".into())
        },
        kind: ErrorKind::Bundle,
        says: &["other.safetensors", "selftest"],
    },
    Case {
        name: "a graph that is no ONNX",
        damage: |bundle| bundle.replace("image_encoder.onnx", b"this is no graph"),
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx"],
    },
    Case {
        name: "another input size than the graph's",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| manifest["preprocessing"]["size"] = 32.into());
            bundle.edit_selftest(|tensors| {
                tensors.insert(
                    "pixel_values".into(),
                    (vec![1, 3, 32, 32], vec![0.0; 3 * 32 * 32]),
                );
            });
            rebind_calibration(bundle);
        },
        kind: ErrorKind::Bundle,
        says: &["image_encoder.onnx", "pixel_values", "[1, 3, 32, 32]"],
    },
    Case {
        name: "an impossible input size",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| {
                manifest["preprocessing"]["size"] = 4_000_000_000u32.into()
            })
        },
        kind: ErrorKind::Bundle,
        says: &["preprocessing"],
    },
    Case {
        name: "a self-test of another shape",
        damage: |bundle| {
            bundle.edit_selftest(|tensors| {
                tensors.insert("image_embeds".into(), (vec![1, 2], vec![0.6, 0.8]));
            });
        },
        kind: ErrorKind::Bundle,
        says: &["selftest.safetensors", "image_embeds", "[1, 2]"],
    },
    Case {
        name: "a self-test that holds NaN",
        damage: |bundle| {
            bundle
                .edit_selftest(|tensors| tensors.get_mut("image_embeds").unwrap().1[0] = f32::NAN);
        },
        kind: ErrorKind::Bundle,
        says: &["selftest.safetensors", "not finite"],
    },
    Case {
        name: "a self-test that the graph does not meet",
        damage: |bundle| {
            bundle.edit_selftest(|tensors| {
                tensors
                    .get_mut("image_embeds")
                    .unwrap()
                    .1
                    .iter_mut()
                    .for_each(|value| *value = -*value);
            });
            rebind_calibration(bundle);
        },
        kind: ErrorKind::Model,
        says: &["image_encoder.onnx", "self-test", "cosine -"],
    },
    Case {
        name: "another dimension than the files'",
        damage: |bundle| {
            bundle.edit_manifest(|manifest| manifest["embedding_dim"] = 256.into());
        },
        kind: ErrorKind::Bundle,
        says: &["image_embeds", "512", "256"],
    },
    Case {
        name: "labels that are no safetensors",
        damage: |bundle| bundle.replace("labels.safetensors", b"{}"),
        kind: ErrorKind::Bundle,
        says: &["labels.safetensors", "safetensors"],
    },
    Case {
        name: "a calibration of another graph",
        damage: |bundle| {
            bundle.edit_calibration(|calibration| {
                calibration["bound_to"]["graph_sha256"] = "1".repeat(64).into()
            });
        },
        kind: ErrorKind::Policy,
        says: &["fitted on graph 1111", "again"],
    },
    Case {
        name: "a calibration of another self-test",
        damage: |bundle| {
            bundle.edit_calibration(|calibration| {
                calibration["bound_to"]["selftest_sha256"] = "1".repeat(64).into()
            });
        },
        kind: ErrorKind::Policy,
        says: &["self-test"],
    },
    Case {
        name: "a calibration of a newer schema",
        damage: |bundle| bundle.edit_calibration(|calibration| calibration["schema"] = 7.into()),
        kind: ErrorKind::Bundle,
        says: &["calibration.json", "schema 7"],
    },
    Case {
        name: "a temperature of zero",
        damage: |bundle| {
            bundle.edit_calibration(|calibration| calibration["temperature"] = 0.into())
        },
        kind: ErrorKind::Bundle,
        says: &["calibration.json", "temperature"],
    },
    Case {
        name: "a threshold beyond its range",
        damage: |bundle| {
            bundle
                .edit_calibration(|calibration| calibration["confidence"]["threshold"] = 1.5.into())
        },
        kind: ErrorKind::Bundle,
        says: &["calibration.json", "confidence.threshold"],
    },
];

#[test]
fn every_damaged_bundle_is_refused_for_its_own_reason() {
    let runtime = runtime();
    let mut wrong = Vec::new();
    for case in CASES {
        let bundle = BundleCopy::new();
        (case.damage)(&bundle);
        match Bundle::open(bundle.path()).and_then(|bundle| Classifier::new(&runtime, &bundle)) {
            Ok(_) => wrong.push(format!("{}: was accepted", case.name)),
            Err(error) => wrong.extend(misses(case, &error)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unknown_optional_fields_are_ignored() {
    let bundle = BundleCopy::new();
    bundle.edit_manifest(|manifest| manifest["colour"] = "green".into());
    bundle.edit_calibration(|calibration| calibration["note"] = "by hand".into());
    let bundle = Bundle::open(bundle.path()).unwrap();
    Classifier::new(&runtime(), &bundle).unwrap();
}

#[test]
fn a_bundle_without_a_text_encoder_still_classifies_its_own_labels() {
    let bundle = BundleCopy::new();
    bundle.edit_manifest(|manifest| {
        manifest.as_object_mut().unwrap().remove("text_encoder");
    });
    let bundle = Bundle::open(bundle.path()).unwrap();
    Classifier::new(&runtime(), &bundle).unwrap();
    let error = bundle.tokenizer().unwrap_err();
    assert!(error.to_string().contains("no text encoder"), "{error}");
}

#[test]
fn a_file_truncated_after_it_was_read_changes_nothing() {
    let copy = BundleCopy::new();
    let bundle = Bundle::open(copy.path()).unwrap();
    let model = bundle.image_encoder().unwrap();
    let before = clipgate::Digest::of((*model).as_ref());
    fs::File::options()
        .write(true)
        .open(copy.file("image_encoder.onnx"))
        .unwrap()
        .set_len(0)
        .unwrap();
    assert_eq!(clipgate::Digest::of((*model).as_ref()), before);
    assert!(bundle.image_encoder().is_err());
}

fn misses(case: &Case, error: &Error) -> Option<String> {
    let report = error.report();
    let missing: Vec<_> = case
        .says
        .iter()
        .filter(|word| !report.contains(**word))
        .collect();
    (error.kind() != case.kind || !missing.is_empty()).then(|| {
        format!(
            "{}: {:?} {report} (missing {missing:?})",
            case.name,
            error.kind()
        )
    })
}

/// Binds the calibration to the bundle's own self-test, so that only the damage in question is refused.
fn rebind_calibration(bundle: &BundleCopy) {
    let digest = Bundle::open(bundle.path())
        .unwrap()
        .selftest()
        .unwrap()
        .digest;
    bundle.edit_calibration(|calibration| {
        calibration["bound_to"]["selftest_sha256"] = digest.to_string().into();
    });
}
