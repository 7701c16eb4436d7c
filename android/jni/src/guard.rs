//! The one way from Java into Rust: whatever goes wrong comes out as an exception with its message, and nothing unwinds
//! into the Java VM.

use std::any::Any;

use jni::errors::ErrorPolicy;
use jni::objects::{JThrowable, JValue};
use jni::{Env, EnvUnowned, jni_sig, jni_str};

use crate::failure::{Code, Failure};

/// Runs a native function's body. Where it fails, `T`'s default is returned to a caller that sees the exception instead.
pub(crate) fn guarded<'local, T: Default>(
    mut env: EnvUnowned<'local>,
    body: impl FnOnce(&mut Env<'local>) -> Result<T, Failure>,
) -> T {
    env.with_env(body).resolve::<Throw>()
}

/// Throws `io.clipgate.ClipgateException`.
struct Throw;

impl<T: Default> ErrorPolicy<T, Failure> for Throw {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        failure: Failure,
    ) -> jni::errors::Result<T> {
        // One of the VM's own says more: that it is out of memory.
        if !env.exception_check() {
            throw(env, failure.code(), &failure.to_string())?;
        }
        Ok(T::default())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        payload: Box<dyn Any + Send>,
    ) -> jni::errors::Result<T> {
        let message = format!(
            "a defect of clipgate, please report it: it panicked: {}",
            message(&*payload)
        );
        if !env.exception_check() {
            throw(env, Code::Internal, &message)?;
        }
        Ok(T::default())
    }
}

/// What a panic said: `panic!("text")` leaves a `&str`, and one with arguments a `String`.
fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

fn throw(env: &mut Env<'_>, code: Code, message: &str) -> jni::errors::Result<()> {
    let text = env.new_string(message)?;
    let exception = env
        .find_class(jni_str!("io/clipgate/ClipgateException"))
        .and_then(|class| {
            let arguments = [JValue::Int(code as i32), JValue::Object(&text)];
            env.new_object(class, jni_sig!("(ILjava/lang/String;)V"), &arguments)
        });
    let exception = match exception {
        Ok(exception) => exception,
        // Taken out or renamed by a shrinker that was not given the library's rules: the message is told all the same.
        Err(_) => {
            env.exception_clear();
            let class = env.find_class(jni_str!("java/lang/RuntimeException"))?;
            let arguments = [JValue::Object(&text)];
            env.new_object(class, jni_sig!("(Ljava/lang/String;)V"), &arguments)?
        }
    };
    let exception = env.cast_local::<JThrowable>(exception)?;
    match env.throw(exception) {
        // How the crate `jni` says that it was thrown.
        Err(jni::errors::Error::JavaException) => Ok(()),
        other => other,
    }
}
