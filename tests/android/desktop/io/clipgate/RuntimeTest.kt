package io.clipgate

import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Test

/** Native libraries that cannot be used. */
class RuntimeTest {
    @Test
    fun aSecondOnnxRuntime() {
        Fixture.load()
        val copy = File.createTempFile("libonnxruntime", ".so")
        File(Fixture.property("clipgate.onnxruntime")).copyTo(copy, overwrite = true)
        refused(ErrorCode.MACHINE, "another ONNX Runtime is loaded") { Clipgate.load(copy.path) }
        copy.writeText("no library")
        refused(ErrorCode.MACHINE, copy.path) { Clipgate.load(copy.path) }
        copy.delete()
        refused(ErrorCode.MACHINE, "libnot-there.so", "cannot be loaded") { Clipgate.load("libnot-there.so") }
        assertTrue(Fixture.load().startsWith("1."))
    }
}
