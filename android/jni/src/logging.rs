//! Where the log goes: logcat, or stderr where there is none.

use std::panic;
use std::sync::Once;

use log::LevelFilter;

/// The tag in logcat.
#[cfg(target_os = "android")]
const TAG: &str = "clipgate";

/// Shows what is at least as severe as `level` from here on; the level can be changed, the place cannot.
pub(crate) fn start(level: LevelFilter) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "android")]
        android_logger::init_once(android_logger::Config::default().with_tag(TAG));
        #[cfg(not(target_os = "android"))]
        // Another logger of the process may be there before.
        let _ = env_logger::Builder::new()
            .filter_level(LevelFilter::Trace)
            .try_init();
        // Its place is not in the exception that a panic becomes.
        panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    });
    log::set_max_level(level);
}

/// Of the numbers of `LogLevel.kt`.
pub(crate) fn level(number: i32) -> LevelFilter {
    match number {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    }
}
