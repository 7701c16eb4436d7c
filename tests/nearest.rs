//! The search through large banks as its users meet it: memory, threads, files, the command.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use clipgate::{Embedding, ErrorKind, Label, LabelBank, LabelSearch, Rows, Scorer, Scores};

use crate::support::is_emulated;

const DIMENSION: usize = 32;
const LABELS: usize = 5000;

fn bank(held: Rows) -> LabelBank {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let (mut labels, mut rows) = (Vec::new(), Vec::new());
    for row in 0..LABELS {
        labels.push(Label::new(&format!("label {row}")).unwrap());
        let values: Vec<f32> = (0..DIMENSION).map(|_| next()).collect();
        rows.extend(Embedding::new(&values).unwrap().as_slice());
    }
    let bank = LabelBank::new(labels, rows, DIMENSION).unwrap();
    bank.with_rows(held).unwrap()
}

fn image(seed: usize) -> Embedding {
    let values: Vec<f32> = (0..DIMENSION)
        .map(|at| ((at * 7 + seed * 13) as f32).sin())
        .collect();
    Embedding::new(&values).unwrap()
}

#[test]
fn nothing_is_allocated_after_the_first_image() {
    for held in [Rows::F32, Rows::Int8, Rows::Both] {
        let bank = bank(held);
        let mut search = LabelSearch::new(1).unwrap();
        let scorer = Scorer::new(100.0, 1.0).unwrap();
        let (mut scores, mut rows) = (Scores::default(), Vec::new());
        let images: Vec<Embedding> = (0..20).map(image).collect();
        let mut all = || {
            for image in &images {
                search.nearest(image, &bank, 5).unwrap();
                scorer.score(image, &bank, &mut scores).unwrap();
                scores.top(5, &mut rows);
            }
        };
        all();
        let allocated = allocation_counter::measure(all);
        assert_eq!(allocated.count_total, 0, "{held:?}");
    }
}

#[test]
fn threads_and_the_scorer_find_the_same() {
    for held in [Rows::F32, Rows::Int8, Rows::Both] {
        let bank = bank(held);
        let (mut scores, mut rows) = (Scores::default(), Vec::new());
        for k in [0, 1, 7, LABELS, LABELS + 1] {
            let mut one = LabelSearch::new(1).unwrap();
            let mut many = LabelSearch::new(7).unwrap();
            let expected = one.nearest(&image(k), &bank, k).unwrap();
            assert_eq!(expected.len(), k.min(LABELS));
            assert_eq!(many.nearest(&image(k), &bank, k).unwrap(), expected);
            if k <= 7 {
                let scorer = Scorer::new(100.0, 1.0).unwrap();
                scorer.score(&image(k), &bank, &mut scores).unwrap();
                scores.top(k, &mut rows);
                let found: Vec<usize> = expected.iter().map(|near| near.index).collect();
                assert_eq!(rows, found, "{held:?}");
            }
        }
    }
}

#[test]
fn more_threads_than_labels_and_none_at_all() {
    let few = LabelBank::new(vec![Label::new("one").unwrap()], vec![0.6, 0.8], 2).unwrap();
    let image = Embedding::new(&[1.0, 0.0]).unwrap();
    let mut search = LabelSearch::new(3).unwrap();
    let found = search.nearest(&image, &few, 5).unwrap();
    assert_eq!((found.len(), found[0].similarity), (1, 0.6));
    for threads in [0, 1000] {
        let error = LabelSearch::new(threads).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Caller);
    }
    let error = search.nearest(&Embedding::new(&[1.0; 3]).unwrap(), &few, 1);
    assert!(error.unwrap_err().to_string().contains("another model"));
}

#[test]
fn a_bank_keeps_its_digest_and_rows_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.safetensors");
    let f32_digest = bank(Rows::F32).digest();
    assert_eq!(bank(Rows::Both).digest(), f32_digest);
    assert_ne!(bank(Rows::Int8).digest(), f32_digest);
    for held in [Rows::F32, Rows::Int8, Rows::Both] {
        let bank = bank(held);
        let bytes = bank.to_safetensors().unwrap();
        fs::write(&path, &bytes).unwrap();
        for again in [
            LabelBank::from_safetensors(Arc::new(bytes)).unwrap(),
            LabelBank::open(&path).unwrap(),
            LabelBank::open_mapped(&path).unwrap(),
        ] {
            assert_eq!(again.rows(), held);
            assert_eq!(again.digest(), bank.digest());
            assert_eq!(again.labels(), bank.labels());
            let mut search = LabelSearch::new(1).unwrap();
            let expected = search.nearest(&image(3), &bank, 9).unwrap().to_vec();
            assert_eq!(search.nearest(&image(3), &again, 9).unwrap(), expected);
        }
    }
}

#[test]
fn very_many_names_stand_in_a_tensor() {
    let count = 1 << 16;
    let labels: Vec<Label> = (0..count)
        .map(|row| Label::new(&format!("Wörter {row}")).unwrap())
        .collect();
    let rows = (0..count).flat_map(|row| {
        let angle = row as f32 * 1e-4;
        [angle.cos(), angle.sin()]
    });
    let bank = LabelBank::new(labels, rows.collect(), 2).unwrap();
    let bytes = bank.to_safetensors().unwrap();
    assert!(!String::from_utf8_lossy(&bytes[..1000]).contains("\"labels\""));
    let again = LabelBank::from_safetensors(Arc::new(bytes)).unwrap();
    assert_eq!(again.digest(), bank.digest());
    assert_eq!(again.labels(), bank.labels());
}

#[test]
fn what_needs_f32_rows_says_so() {
    let refused = |result: clipgate::Result<LabelBank>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Caller);
        assert!(
            error.report().contains("int8 rows only"),
            "{}",
            error.report()
        );
    };
    let int8 = || bank(Rows::Int8);
    refused(int8().with_rows(Rows::F32));
    refused(int8().with_rows(Rows::Both));
    refused(bank(Rows::F32).with_negatives(int8()));
    refused(
        int8()
            .with_negatives_of(&bank(Rows::F32))
            .map(|(bank, _)| bank),
    );
    refused(
        bank(Rows::F32)
            .with_negatives_of(&int8())
            .map(|(bank, _)| bank),
    );
    assert!(clipgate::Miner::new(&int8(), 10).is_err());
    let with_negatives = int8().with_negatives(bank(Rows::F32)).unwrap();
    let mut scores = Scores::default();
    let scorer = Scorer::new(100.0, 1.0).unwrap();
    scorer
        .score(&image(1), &with_negatives, &mut scores)
        .unwrap();
    let share: f32 = scores.probabilities().iter().sum();
    assert!((share - 0.5).abs() < 0.01, "{share}");
}

#[test]
fn the_command_builds_converts_and_classifies() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_clipgate"))
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            error,
        )
    };
    let (built, both, int8) = (path("built"), path("both"), path("int8"));
    let labels = "espresso,teapot,goldfish";
    let (code, _, error) = run(&[
        "labels", "build", "--labels", labels, "--rows", "int8", "-o", &built,
    ]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(LabelBank::open(built.as_ref()).unwrap().rows(), Rows::Int8);
    let (code, _, error) = run(&["labels", "convert", &built, "--rows", "f32", "-o", &both]);
    assert_eq!(code, Some(2));
    assert!(error.contains("int8 rows only"), "{error}");

    run(&["labels", "build", "--labels", labels, "-o", &built]);
    let (code, said, error) = run(&["labels", "convert", &built, "--rows", "both", "-o", &both]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(said.contains("3 labels of"), "{said}");
    run(&["labels", "convert", &both, "--rows", "int8", "-o", &int8]);
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/coffee.jpg");
    let answers = [&built, &both, &int8].map(|bank| run(&["classify", "--bank", bank, photo]));
    for (code, said, error) in &answers {
        assert_eq!(*code, Some(0), "{error}");
        assert!(said.contains("espresso"), "{said}");
    }
    let (code, _, error) = run(&["labels", "convert", &built, "--rows", "both", "-o", &built]);
    assert_eq!(code, Some(2));
    assert!(error.contains("is an input"), "{error}");
}

/// Tells a process of its own from the one that starts it.
#[cfg(target_os = "linux")]
const ALONE: &str = "CLIPGATE_TEST_WITHOUT_THREADS";

/// In a process of its own, as no other test may meet the limit.
#[cfg(target_os = "linux")]
#[test]
fn without_threads_the_caller_searches() {
    if is_emulated() {
        eprintln!(
            "SKIPPED a process without room for threads: qemu keeps no limit of the address space"
        );
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        let name = "nearest::without_threads_the_caller_searches";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let alone = alone.args(["--exact", name]).env(ALONE, "1");
        assert!(alone.output().unwrap().status.success());
        return;
    }
    let labels = ["a", "b", "c"].map(|name| Label::new(name).unwrap());
    let rows = vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
    let bank = LabelBank::new(labels.into(), rows, 2).unwrap();
    let image = Embedding::new(&[1.0, 0.1]).unwrap();
    // By one thread, as the system keeps the stacks of further ones for the next.
    let mut alone = LabelSearch::new(1).unwrap();
    let expected = alone.nearest(&image, &bank, 3).unwrap();
    let mut search = LabelSearch::new(4).unwrap();
    limit_address_space(1 << 20);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    let found = search.nearest(&image, &bank, 3).map(<[_]>::to_vec);
    limit_address_space(libc::RLIM_INFINITY);
    assert_eq!(found.unwrap(), expected);
}

/// To less than the process has: there is no room for a thread's stack then.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a limit of the process is set")]
fn limit_address_space(bytes: libc::rlim_t) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit is a whole value.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
