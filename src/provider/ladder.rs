//! Which providers are tried, in which order, and which of them must do.

use std::fmt;
use std::str::FromStr;

use super::Provider;
use crate::error::{Error, Result};

/// The word for "measure them and take the fastest".
const AUTO: &str = "auto";

/// Providers in the order in which they are tried, or all of them to be measured.
///
/// Written as a list: `qnn,xnnpack,cpu` tries the NPU, then XNNPACK, then the CPU. The CPU stands at the end of every
/// list whether it is written there or not, unless the last one is required: `qnn!` is an error where the NPU cannot run
/// the whole graph. `auto` measures all that are there and takes the fastest whose arithmetic is right.
///
/// ```
/// use clipgate::{Provider, ProviderLadder};
///
/// let ladder: ProviderLadder = "qnn,xnnpack".parse()?;
/// assert_eq!(ladder.to_string(), "qnn,xnnpack,cpu");
/// let required: ProviderLadder = "qnn!".parse()?;
/// assert!(required.rungs()[0].required);
/// assert_eq!(ProviderLadder::default().rungs()[0].provider, Provider::Cpu);
/// assert!("qnn,gpu".parse::<ProviderLadder>().is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderLadder {
    rungs: Vec<Rung>,
    is_auto: bool,
}

/// One provider of a [`ProviderLadder`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rung {
    /// What is tried.
    pub provider: Provider,
    /// Whether it must run the whole graph: anything else is an error.
    pub required: bool,
}

impl ProviderLadder {
    /// Every provider, to be measured.
    pub fn auto() -> Self {
        Self {
            rungs: Provider::ALL.into_iter().map(Rung::tried).collect(),
            is_auto: true,
        }
    }

    /// This provider or an error.
    pub fn required(provider: Provider) -> Self {
        Self {
            rungs: vec![Rung {
                provider,
                required: true,
            }],
            is_auto: false,
        }
    }

    /// What is tried, in this order; never empty, and the last is the CPU or required.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Whether they are measured, so that their order says nothing.
    pub fn is_auto(&self) -> bool {
        self.is_auto
    }

    /// Whether nothing but the CPU can come of it.
    pub fn is_cpu(&self) -> bool {
        matches!(self.rungs.as_slice(), [only] if only.provider == Provider::Cpu)
    }
}

impl Rung {
    fn tried(provider: Provider) -> Self {
        Self {
            provider,
            required: false,
        }
    }
}

impl Default for ProviderLadder {
    /// The CPU.
    fn default() -> Self {
        Self {
            rungs: vec![Rung::tried(Provider::Cpu)],
            is_auto: false,
        }
    }
}

impl fmt::Display for ProviderLadder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_auto {
            return f.write_str(AUTO);
        }
        for (place, rung) in self.rungs.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let mark = if rung.required { "!" } else { "" };
            write!(f, "{comma}{}{mark}", rung.provider)?;
        }
        Ok(())
    }
}

impl FromStr for ProviderLadder {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming the part of the list that is at fault: an unknown or
    /// empty name, one that stands there twice or can never be reached, or `auto` among others.
    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == AUTO {
            return Ok(Self::auto());
        }
        let mut rungs: Vec<Rung> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let rung = rung(part)?;
            if rungs
                .iter()
                .any(|earlier| earlier.provider == rung.provider)
            {
                return Err(Error::caller(format!("{part:?} stands there twice")));
            }
            if let Some(last) = rungs.last()
                && (last.required || last.provider == Provider::Cpu)
            {
                let why = if last.required {
                    "is required"
                } else {
                    "runs every graph"
                };
                return Err(Error::caller(format!(
                    "{part:?} is never reached: {} before it {why}",
                    last.provider
                )));
            }
            rungs.push(rung);
        }
        if let Some(last) = rungs.last()
            && !last.required
            && last.provider != Provider::Cpu
        {
            rungs.push(Rung::tried(Provider::Cpu));
        }
        Ok(Self {
            rungs,
            is_auto: false,
        })
    }
}

fn rung(part: &str) -> Result<Rung> {
    let (name, required) = match part.strip_suffix('!') {
        Some(name) => (name, true),
        None => (part, false),
    };
    match name {
        "" => Err(Error::caller(
            "a provider's name is missing between the commas",
        )),
        AUTO => Err(Error::caller(format!(
            "{part:?} stands alone: it measures every provider"
        ))),
        name => Ok(Rung {
            provider: name.parse()?,
            required,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_ladder_are_inverse() {
        for text in [
            "cpu",
            "qnn,cpu",
            "qnn!",
            "qnn,xnnpack!",
            "auto",
            "nnapi,acl,coreml,cpu",
        ] {
            assert_eq!(text.parse::<ProviderLadder>().unwrap().to_string(), text);
        }
        assert_eq!(
            " qnn , xnnpack "
                .parse::<ProviderLadder>()
                .unwrap()
                .to_string(),
            "qnn,xnnpack,cpu"
        );
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        for (text, part) in [
            ("", "missing"),
            ("qnn,", "missing"),
            ("!", "missing"),
            ("qnn,gpu", "\"gpu\""),
            ("QNN", "\"QNN\""),
            ("qnn!!", "\"qnn!\""),
            ("qnn,qnn", "\"qnn\" stands there twice"),
            ("cpu,qnn", "\"qnn\" is never reached: cpu"),
            ("qnn!,cpu", "\"cpu\" is never reached: qnn"),
            ("auto,cpu", "\"auto\" stands alone"),
            ("auto!", "\"auto!\" stands alone"),
        ] {
            let error = text.parse::<ProviderLadder>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Caller, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
