//! `--fast-decode`: a promise holds for the pixels that it was measured on.

use super::*;

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
