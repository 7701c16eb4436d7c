package io.clipgate

import org.junit.Assert.assertEquals
import org.junit.Test

/** What `panics.rs` exports. */
internal object Panics {
    @JvmStatic
    external fun fail(way: Int): Int
}

/** Whatever happens in native code comes out as an exception that keeps its message. */
class GuardTest {
    init {
        System.load(Fixture.property("clipgate.panics"))
    }

    @Test
    fun panicsAreExceptions() {
        refused(ErrorCode.INTERNAL, "it panicked: a text") { Panics.fail(0) }
        refused(ErrorCode.INTERNAL, "a text with 1 argument") { Panics.fail(1) }
        refused(ErrorCode.INTERNAL, "without a message") { Panics.fail(2) }
    }

    @Test
    fun errorsKeepTheirWords() {
        refused(ErrorCode.CALLER, "größer als \uD83C\uDF0D\u0000 und mehr") { Panics.fail(3) }
        refused(ErrorCode.CLOSED, "closed") { Panics.fail(4) }
        refused(ErrorCode.INTERNAL, "not of one build: a test") { Panics.fail(5) }
        assertEquals(99, Panics.fail(99))
    }

    /** That memory is full, whoever notices: Java's heap, or what the native half asked the system for. */
    @Test
    fun outOfMemoryHasACode() {
        refused(ErrorCode.OUT_OF_MEMORY, "Not enough memory") { Panics.fail(6) }
        refused(ErrorCode.OUT_OF_MEMORY, "no memory for a frame: ") { Panics.fail(7) }
        refused(ErrorCode.OUT_OF_MEMORY, "no bundle: cannot be read: ") { Panics.fail(8) }
        refused(ErrorCode.OUT_OF_MEMORY, "no memory is left") { native { throw OutOfMemoryError("Java heap space") } }
    }
}
