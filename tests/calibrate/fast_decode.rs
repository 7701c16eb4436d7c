//! `--fast-decode`: a promise holds for the pixels that it was measured on.

use clipgate::calibration::{PreprocessingMode, PromiseKind};
use clipgate::{Bundle, Classifier, DecodeOptions, ImageDecoder};
use serde_json::json;

use super::*;
use crate::support::bundles::BundleCopy;
use crate::support::runtime;

#[test]
fn what_is_promised_holds_for_the_decoding_that_was_calibrated() {
    let place = Place::new(30);
    let said = place.calibrate(
        "photos",
        &["--target-risk", "0.3", "--fast-decode", "--format", "json"],
    );
    assert_eq!(status(&said), 0, "{}", stderr(&said));
    let calibration = &json_lines(&said)[0]["calibration"];
    assert_eq!(calibration["bound_to"]["preprocessing"], "fast_decode");

    let (bank, mine, photos) = (
        place.path("bank"),
        place.path("mine.json"),
        place.path("photos"),
    );
    let own = ["--bank", bank.as_str(), "--calibration", &mine];
    let classify = ["classify", PHOTO, "--format", "json"];
    let evaluate = [
        "evaluate",
        "--id",
        &photos,
        "--resamples",
        "20",
        "--format",
        "json",
    ];
    for (option, kind) in [(&["--fast-decode"][..], "high_probability"), (&[], "none")] {
        let classified = clipgate(&[&classify, &own[..], option].concat());
        assert_eq!(status(&classified), 0, "{}", stderr(&classified));
        let answer = &json_lines(&classified)[0];
        assert_eq!(answer["calibration"], "fitted");
        assert_eq!(answer["promise"]["kind"], kind, "{answer}");
        let judged = clipgate(&[&evaluate, &own[..], option].concat());
        assert_eq!(status(&judged), 0, "{}", stderr(&judged));
        let promise = &json_lines(&judged)[0]["gate"]["promise"];
        assert_eq!(promise["kind"], kind, "{promise}");
        if kind == "none" {
            for promise in [promise, &answer["promise"]] {
                let conditions = promise["conditions"].as_str().unwrap();
                assert!(
                    conditions.contains("decoded in another way"),
                    "{conditions}"
                );
            }
        }
    }
}

#[test]
fn embeddings_say_how_their_pixels_were_made() {
    let place = Place::new(1);
    let file = place.path("embeddings");
    let embedded = clipgate(&["embed", PHOTO, "--fast-decode", "-o", &file]);
    assert_eq!(status(&embedded), 0, "{}", stderr(&embedded));
    let other = place.path("embeddings.ood");
    fs::rename(&file, &other).unwrap();
    let (values, labels) = texts(60);
    write(
        &place.at("embeddings"),
        &values,
        values.len() / 60,
        Some(&labels),
    );
    let ood = ["--ood", other.as_str()];
    let refused = place.embedded(&[&FEW[..], &ood].concat());
    is_refused(&refused, &[&other, "`fast_decode`", "--fast-decode"]);
    let fitted = place.embedded(&[&FEW[..], &ood, &["--fast-decode"]].concat());
    assert_eq!(status(&fitted), 0, "{}", stderr(&fitted));
}

#[test]
fn a_classifier_promises_nothing_of_a_frame_that_was_decoded_in_another_way() {
    for (bound_to, mode) in [
        ("exact", PreprocessingMode::Exact),
        ("fast_decode", PreprocessingMode::FastDecode),
    ] {
        let copy = BundleCopy::new();
        copy.edit_calibration(|calibration| {
            calibration["bound_to"]["preprocessing"] = bound_to.into();
            let point = &mut calibration["operating_point"];
            point["method"] = "ltt".into();
            point["target"] = 0.3.into();
            let (images, errors) = (&point["accepted"]["count"], &point["wrong"]["count"]);
            calibration["promise"] = json!({
                "kind": "high_probability", "target": 0.3, "confidence": 0.95, "images": images, "errors": errors,
                "conditions": "made up",
            });
        });
        let bundle = Bundle::open(copy.path()).unwrap();
        let mut classifier = Classifier::options()
            .preprocessing(mode)
            .open(&runtime(), &bundle)
            .unwrap();
        let fast = DecodeOptions::fast(&bundle.manifest().preprocessing);
        for (decoded, options) in [
            (PreprocessingMode::Exact, DecodeOptions::default()),
            (PreprocessingMode::FastDecode, fast),
        ] {
            let mut decoder = ImageDecoder::new(options);
            let image = decoder.decode_file(PHOTO.as_ref()).unwrap();
            let answer = classifier.classify(&image.frame().unwrap()).unwrap();
            let expected = match decoded == mode {
                true => PromiseKind::HighProbability,
                false => PromiseKind::None,
            };
            assert_eq!(answer.promise, expected, "{decoded:?} for {mode:?}");
        }
    }
}
