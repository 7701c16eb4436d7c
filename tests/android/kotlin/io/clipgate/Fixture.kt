package io.clipgate

import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue

/**
 * Where the tests' files lie. On the desktop JVM `run.sh` says so by system properties; on a device an instrumented
 * runner copies them out of its assets and sets the same.
 */
internal object Fixture {
    val pocket: File = File(property("clipgate.pocket"))

    /** What `oracle.rs` wrote. */
    val cases: File = File(property("clipgate.cases"))

    /** Whether [cases] were answered on this very machine. */
    val isExact: Boolean = property("clipgate.exact").toBoolean()

    /** Loads both native libraries. */
    fun load(): String = Clipgate.load(property("clipgate.onnxruntime"), LogLevel.ERROR)

    fun open(options: ClassifierOptions = ClassifierOptions.DEFAULT): Classifier {
        load()
        return Classifier.open(pocket, options)
    }

    fun property(name: String): String = checkNotNull(System.getProperty(name)) { "run.sh sets $name" }

    /** A copy of the pocket bundle, to be damaged. */
    fun <T> withCopy(use: (File) -> T): T {
        val copy = File.createTempFile("bundle", "")
        check(copy.delete() && copy.mkdir())
        try {
            pocket.listFiles()!!.forEach { it.copyTo(File(copy, it.name)) }
            return use(copy)
        } finally {
            copy.deleteRecursively()
        }
    }

    /** Bytes in a direct buffer. */
    fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).put(bytes).rewind() as ByteBuffer

    /** A small picture in which something is to be seen. */
    fun scene(seed: Int = 7): Frame {
        val pixels = ByteArray(WIDTH * HEIGHT * 3) { ((it * seed + it / 97) % 251).toByte() }
        return Frame.packed(direct(pixels), WIDTH, HEIGHT, PixelFormat.RGB)
    }

    /** A covered lens: answered without the model. */
    fun darkness(): Frame = Frame.packed(ByteBuffer.allocateDirect(WIDTH * HEIGHT * 3), WIDTH, HEIGHT, PixelFormat.RGB)

    const val WIDTH = 64
    const val HEIGHT = 48
}

/** What `call` must fail with: this code, and a message with all of these in it. */
internal fun refused(code: ErrorCode, vararg parts: String, call: () -> Unit): ClipgateException {
    try {
        call()
    } catch (failure: ClipgateException) {
        assertEquals(failure.message, code, failure.code)
        for (part in parts) assertTrue("$part in: ${failure.message}", failure.message!!.contains(part))
        return failure
    }
    throw AssertionError("nothing was refused; expected $code ${parts.toList()}")
}

/** What nobody has closed. */
internal fun assertNothingIsOpen() = assertEquals("open handles", 0, Clipgate.openHandles())
