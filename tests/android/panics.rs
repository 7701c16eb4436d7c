//! A library for the Java VM whose functions fail in every way, behind the very guard of `android/jni`: what Java sees of
//! it is tested by `GuardTest.kt`.

#![expect(unsafe_code, reason = "a function is exported for the Java VM")]
#![allow(clippy::panic, reason = "on purpose")]

use std::io;

use clipgate::{Error, ErrorKind};
use jni::EnvUnowned;
use jni::objects::JClass;
use jni::sys::jint;

#[path = "../../android/jni/src/failure.rs"]
mod failure;
#[path = "../../android/jni/src/guard.rs"]
mod guard;

use failure::Failure;

#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Panics_fail<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    way: jint,
) -> jint {
    guard::guarded(env, |env| match way {
        0 => panic!("a text"),
        1 => panic!("a text with {way} argument"),
        2 => std::panic::panic_any(way),
        3 => Err(Failure::caller("größer als \u{1F30D}\0 und mehr")),
        4 => Err(Failure::Closed),
        5 => Err(Failure::other_build("a test")),
        6 => {
            // More than any heap of Java's has.
            env.new_byte_array(usize::MAX >> 33)?;
            Ok(1)
        }
        7 => {
            let mut bytes = Vec::<u8>::new();
            let refusal = bytes.try_reserve(usize::MAX).err().ok_or(Failure::Closed)?;
            let error = Error::new(ErrorKind::Machine, "no memory for a frame");
            Err(error.with_source(refusal).into())
        }
        8 => {
            let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
            let read = Error::new(ErrorKind::Machine, "cannot be read").with_source(refusal);
            Err(Error::new(ErrorKind::Bundle, "no bundle")
                .with_source(read)
                .into())
        }
        _ => Ok(way),
    })
}
