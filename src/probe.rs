//! Tries a provider in a process of its own before it may enter this one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child;
use crate::error::{Error, Result};
use crate::provider::Provider;

/// How long a process may try unless told otherwise. It compiles the graph and runs it: a small one takes a slow phone some
/// seconds, a large one more, and an emulator of an NPU longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// A command that tries a provider, so that one that crashes when it is loaded crashes there.
///
/// Drivers and plugins are native code of others, and some take the process down. With
/// [`SessionOptions::with_probe`](crate::SessionOptions::with_probe) every provider but the CPU is first tried by this
/// command: the provider's name is appended to its arguments, and its standard streams are closed. It should do all that
/// this process is about to do, [`ImageEncoder::open`](crate::ImageEncoder::open) with
/// [`ProviderLadder::required`](crate::ProviderLadder::required) and no probe of its own, and end with status
/// [`SURVIVED`](Self::SURVIVED) whatever that returned: an error is no crash, and this process will meet it too. Any other
/// status, a signal, or more time than it is given counts as a crash, and the provider is passed over. So does 0, with
/// which native code may end a process behind its back. A try of more than two seconds is told to the log as a warning, and
/// on Linux the command ends with the thread that waits for it.
///
/// ```
/// use clipgate::{ProbeCommand, SessionOptions};
///
/// let probe = ProbeCommand::new("/proc/self/exe", ["probe-provider"]);
/// let options = SessionOptions::default().with_providers("qnn,cpu".parse()?).with_probe(probe);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    patience: Duration,
}

impl ProbeCommand {
    /// The exit status of a command that was not ended by what it tried.
    pub const SURVIVED: i32 = 43;

    /// `program` with these arguments and the provider's name after them; it is given three minutes.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            patience: PATIENCE,
        }
    }

    /// How long the command may take.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Tries `provider` and waits for the end.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine), saying how the process ended, if that was not with status [`SURVIVED`](Self::SURVIVED).
    pub fn run(&self, provider: Provider) -> Result<()> {
        self.survives(provider).map_err(|reason| {
            Error::machine(format!(
                "provider {provider} crashed in a process of its own: {reason}"
            ))
        })
    }

    /// Runs the command; an error says how it ended.
    pub(crate) fn survives(&self, provider: Provider) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(provider.name())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = child::spawn(&mut command)
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        let patience = self.patience.as_secs_f32();
        let tell = || {
            log::warn!(
                "provider {provider} is being tried in a process of its own, which may take {patience} s"
            );
        };
        match child::wait(&mut child, self.patience, tell) {
            Ok(Some(status)) if status.code() == Some(Self::SURVIVED) => Ok(()),
            Ok(Some(status)) => Err(status.to_string()),
            Ok(None) => Err(format!("not done after {patience} s")),
            Err(error) => Err(format!("cannot be waited for: {error}")),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProbeCommand {
        ProbeCommand::new("/bin/sh", ["-c", script])
    }

    #[test]
    fn only_its_own_status_in_time_counts() {
        // The provider's name is what a shell calls $0.
        let survives = |script: &str| shell(script).survives(Provider::Qnn);
        assert_eq!(survives("test \"$0\" = qnn && exit 43"), Ok(()));
        assert!(survives("exit 0").unwrap_err().contains('0'));
        assert!(survives("exit 3").unwrap_err().contains('3'));
        assert!(
            survives("kill -SEGV $$")
                .unwrap_err()
                .contains("signal: 11")
        );
        let slow = shell("exec sleep 60").with_patience(Duration::from_millis(50));
        assert!(
            slow.survives(Provider::Qnn)
                .unwrap_err()
                .contains("not done")
        );
        let missing = ProbeCommand::new("/no/such/program", [""; 0]);
        assert!(
            missing
                .survives(Provider::Qnn)
                .unwrap_err()
                .contains("/no/such/program")
        );
    }
}
