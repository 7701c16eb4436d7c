//! The ladder's logic on made-up providers.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::provider::PlacedNode;

/// What becomes of a provider.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Absent,
    Wrong,
    /// Loads, leaves this many nodes on the CPU, and takes so many milliseconds a run.
    Runs {
        left: usize,
        ms: u64,
    },
}

const FAST: Fate = Fate::Runs { left: 0, ms: 1 };

struct Fakes {
    fates: Vec<(Provider, Fate)>,
    loads: Vec<Provider>,
}

impl Fakes {
    fn new(fates: &[(Provider, Fate)]) -> Self {
        Self {
            fates: fates.to_vec(),
            loads: Vec::new(),
        }
    }

    fn fate(&self, provider: Provider) -> Fate {
        let known = self.fates.iter().find(|(of, _)| *of == provider);
        known.map_or(Fate::Absent, |(_, fate)| *fate)
    }
}

impl Candidates for Fakes {
    type Loaded = Provider;

    fn load(&mut self, provider: Provider, whole: bool) -> Result<Tested<Provider>, Failure> {
        self.loads.push(provider);
        let reason = "made up".to_owned();
        match self.fate(provider) {
            Fate::Absent => Err(Failure::new(
                ProviderOutcome::Absent { reason },
                Error::machine("absent"),
            )),
            Fate::Wrong => Err(Failure::new(
                ProviderOutcome::Wrong { reason },
                Error::model("wrong"),
            )),
            Fate::Runs { left, .. } => {
                let node = |on: Provider| {
                    PlacedNode::new("node".to_owned(), "", "MatMul", on.onnxruntime_name())
                };
                let mut nodes = vec![node(provider); 3];
                nodes.extend(vec![node(Provider::Cpu); left]);
                let placement = Placement::new(nodes);
                if whole && left > 0 {
                    return Err(Failure {
                        placement: Some(placement.clone()),
                        ..Failure::new(
                            ProviderOutcome::leaves(provider, &placement),
                            Error::machine("not whole"),
                        )
                    });
                }
                Ok(Tested {
                    loaded: provider,
                    cosine: 0.999,
                    placement: Some(placement),
                })
            }
        }
    }

    fn run(&mut self, loaded: &mut Provider) -> Result<()> {
        if let Fate::Runs { ms, .. } = self.fate(*loaded) {
            thread::sleep(Duration::from_millis(ms));
        }
        Ok(())
    }

    fn is_wanted(&self, _: Provider) -> bool {
        false
    }
}

fn chosen_of(ladder: &str, fakes: &mut Fakes) -> Result<Choice<Provider>> {
    choose(&ladder.parse().unwrap(), fakes, &mut ProviderCache::none())
}

fn outcomes(choice: &Choice<Provider>) -> Vec<String> {
    choice.reports.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_that_can_be_trusted_is_chosen_and_the_others_are_reported() {
    let mut fakes = Fakes::new(&[
        (Provider::Nnapi, Fate::Wrong),
        (Provider::CoreMl, Fate::Runs { left: 7, ms: 1 }),
        (Provider::Cpu, FAST),
    ]);
    let choice = chosen_of("qnn,nnapi,coreml", &mut fakes).unwrap();
    assert_eq!(choice.loaded, Provider::Cpu);
    assert_eq!(
        outcomes(&choice),
        [
            "qnn: absent: made up",
            "nnapi: computes wrongly: made up",
            "coreml: leaves 7 of 10 nodes on the CPU: node (MatMul), node (MatMul), node (MatMul), node (MatMul), \
             node (MatMul), ...",
            "cpu: chosen"
        ]
    );
    assert_eq!(
        choice.reports[2].placement.as_ref().unwrap().nodes().len(),
        10
    );
    assert_eq!(choice.reports[3].cosine, Some(0.999));
}

#[test]
fn what_stands_lower_is_not_tried() {
    let mut fakes = Fakes::new(&[(Provider::Qnn, FAST), (Provider::Cpu, FAST)]);
    let choice = chosen_of("qnn,cpu", &mut fakes).unwrap();
    assert_eq!(
        (choice.loaded, fakes.loads.as_slice()),
        (Provider::Qnn, &[Provider::Qnn][..])
    );
}

#[test]
fn kernels_of_the_same_chip_may_share_a_graph_unless_they_are_required() {
    let mut fakes = Fakes::new(&[(Provider::Xnnpack, Fate::Runs { left: 2, ms: 1 })]);
    let choice = chosen_of("xnnpack", &mut fakes).unwrap();
    assert_eq!(
        outcomes(&choice),
        ["xnnpack: chosen, 2 nodes stay on the CPU"]
    );
    let error = chosen_of("xnnpack!", &mut fakes)
        .map(|choice| choice.loaded)
        .unwrap_err();
    assert!(error.to_string().contains("leaves 2 of 5 nodes"), "{error}");
}

#[test]
fn a_required_provider_is_taken_or_an_error() {
    for fate in [Fate::Absent, Fate::Wrong, Fate::Runs { left: 1, ms: 1 }] {
        let mut fakes = Fakes::new(&[(Provider::Qnn, fate), (Provider::Cpu, FAST)]);
        let error = chosen_of("qnn!", &mut fakes)
            .map(|choice| choice.loaded)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Machine);
        assert!(
            error
                .to_string()
                .starts_with("provider qnn is required, but")
        );
    }
}

#[test]
fn where_nothing_runs_the_cpus_error_is_told() {
    let mut fakes = Fakes::new(&[(Provider::Cpu, Fate::Wrong)]);
    let error = chosen_of("qnn,cpu", &mut fakes)
        .map(|choice| choice.loaded)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    let error = chosen_of("auto", &mut fakes)
        .map(|choice| choice.loaded)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
}

#[test]
fn auto_takes_the_fastest_that_computes_rightly() {
    let mut fakes = Fakes::new(&[
        (Provider::Qnn, Fate::Runs { left: 9, ms: 80 }),
        (Provider::Nnapi, Fate::Wrong),
        (Provider::Xnnpack, Fate::Runs { left: 1, ms: 1 }),
        (Provider::Cpu, Fate::Runs { left: 0, ms: 120 }),
    ]);
    let choice = chosen_of("auto", &mut fakes).unwrap();
    assert_eq!(choice.loaded, Provider::Xnnpack);
    let slower = |report: &&ProviderReport| report.outcome == ProviderOutcome::Slower;
    assert_eq!(choice.reports.len(), Provider::ALL.len());
    assert!(choice.reports[0].is_chosen() && choice.reports[0].median.is_some());
    assert_eq!(choice.reports.iter().filter(slower).count(), 2);
}

fn subject() -> Subject {
    Subject {
        clipgate: "0".to_owned(),
        device: "board".to_owned(),
        onnxruntime: "1.31.1".to_owned(),
        onnxruntime_bytes: 1,
        driver: None,
        installation: None,
        options: "1 thread".to_owned(),
        graph: crate::digest::Digest::of(b"graph"),
    }
}

#[test]
fn auto_measures_once_for_a_subject_and_anew_for_another() {
    let directory = tempfile::tempdir().unwrap();
    let ladder = ProviderLadder::auto();
    let fates = [
        (Provider::Xnnpack, FAST),
        (Provider::Cpu, Fate::Runs { left: 0, ms: 90 }),
    ];
    let run = |subject: Subject| {
        let mut fakes = Fakes::new(&fates);
        let mut cache = ProviderCache::open(directory.path(), subject);
        let choice = choose(&ladder, &mut fakes, &mut cache).unwrap();
        assert_eq!(choice.loaded, Provider::Xnnpack);
        assert_eq!(choice.reports.len(), Provider::ALL.len());
        fakes.loads.len()
    };
    assert_eq!(run(subject()), Provider::ALL.len());
    assert_eq!(run(subject()), 1, "the kept choice alone is loaded");
    let other = |edit: fn(&mut Subject)| {
        let mut subject = subject();
        edit(&mut subject);
        subject
    };
    for subject in [
        other(|subject| subject.clipgate = "1".to_owned()),
        other(|subject| subject.device = "phone".to_owned()),
        other(|subject| subject.onnxruntime = "1.32.0".to_owned()),
        other(|subject| subject.options = "2 threads".to_owned()),
        other(|subject| subject.graph = crate::digest::Digest::of(b"other")),
    ] {
        assert_eq!(run(subject), Provider::ALL.len());
    }
}

#[test]
fn a_kept_choice_that_fails_is_measured_anew() {
    let directory = tempfile::tempdir().unwrap();
    let ladder = ProviderLadder::auto();
    let slow = Fate::Runs { left: 0, ms: 50 };
    let mut cache = ProviderCache::open(directory.path(), subject());
    let mut fakes = Fakes::new(&[(Provider::Qnn, FAST), (Provider::Cpu, slow)]);
    assert_eq!(
        choose(&ladder, &mut fakes, &mut cache).unwrap().loaded,
        Provider::Qnn
    );
    let mut broken = Fakes::new(&[(Provider::Qnn, Fate::Wrong), (Provider::Cpu, slow)]);
    let mut cache = ProviderCache::open(directory.path(), subject());
    assert_eq!(
        choose(&ladder, &mut broken, &mut cache).unwrap().loaded,
        Provider::Cpu
    );
    let mut cache = ProviderCache::open(directory.path(), subject());
    let mut again = Fakes::new(&[(Provider::Qnn, Fate::Wrong), (Provider::Cpu, slow)]);
    choose(&ladder, &mut again, &mut cache).unwrap();
    assert_eq!(again.loads, [Provider::Cpu]);
}

/// The one file in a cache's directory.
fn kept(directory: &Path) -> PathBuf {
    let entries: Vec<_> = fs::read_dir(directory).unwrap().collect();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    entry.as_ref().unwrap().path()
}

/// Lets what was measured in `directory` be `by` older.
fn age(directory: &Path, by: Duration) {
    let file = kept(directory);
    let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let seconds = &mut entry["findings"]["measured"]["secs_since_epoch"];
    *seconds = (seconds.as_u64().unwrap() - by.as_secs()).into();
    fs::write(file, entry.to_string()).unwrap();
}

#[test]
fn a_choice_is_remembered_with_what_was_passed_over_and_a_fault_for_a_day() {
    const HOUR: Duration = Duration::from_secs(3600);
    let cpu = (Provider::Cpu, Fate::Runs { left: 0, ms: 20 });
    for (fates, outlives_a_day) in [
        (vec![(Provider::Qnn, Fate::Wrong), cpu], false),
        (vec![(Provider::Xnnpack, FAST), cpu], true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let run = || {
            let mut fakes = Fakes::new(&fates);
            let mut cache = ProviderCache::open(directory.path(), subject());
            let choice = choose(&ProviderLadder::auto(), &mut fakes, &mut cache).unwrap();
            (outcomes(&choice), fakes.loads.len())
        };
        let (measured, loads) = run();
        assert_eq!(loads, Provider::ALL.len());
        age(directory.path(), 23 * HOUR);
        assert_eq!(run(), (measured, 1));
        age(directory.path(), 2 * HOUR);
        assert_eq!(run().1 == 1, outlives_a_day, "{fates:?}");
        assert_eq!(run().1, 1, "it counts from then on");
    }
}

#[test]
fn a_damaged_foreign_or_unwritable_cache_costs_a_measurement() {
    let directory = tempfile::tempdir().unwrap();
    let ladder = ProviderLadder::auto();
    let fates = [(Provider::Cpu, FAST)];
    let run = |directory: &Path| {
        let mut fakes = Fakes::new(&fates);
        let mut cache = ProviderCache::open(directory, subject());
        choose(&ladder, &mut fakes, &mut cache).unwrap();
        fakes.loads.len()
    };
    run(directory.path());
    let file = kept(directory.path());
    let whole = fs::read_to_string(&file).unwrap();
    for content in [
        "",
        "{",
        "[]",
        &whole[..whole.len() / 2],
        &whole.replace("board", "phone"),
    ] {
        fs::write(&file, content).unwrap();
        assert_eq!(run(directory.path()), Provider::ALL.len(), "{content:?}");
        assert_eq!(run(directory.path()), 1, "the file was written anew");
    }
    // A file where the directory should be: nothing can be kept, whoever asks.
    assert_eq!(run(&file), Provider::ALL.len());
    assert_eq!(run(&file.join("below")), Provider::ALL.len());
}

#[test]
fn several_at_once_leave_one_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut cache = ProviderCache::open(directory.path(), subject());
                let report = ProviderReport::new(Provider::Cpu, ProviderOutcome::Chosen);
                (0..20).for_each(|_| cache.keep(std::slice::from_ref(&report)));
            });
        }
    });
    kept(directory.path());
    let cache = ProviderCache::open(directory.path(), subject());
    assert_eq!(cache.reports().map(<[_]>::len), Some(1));
}
