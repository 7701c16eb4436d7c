package io.clipgate

import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Test

/** Whatever is wrong is an exception with its code and a sentence that says what. */
class RefusalTest {
    private fun direct(size: Int) = ByteBuffer.allocateDirect(size)

    @Test
    fun framesThatDoNotFitTheirBytes() {
        Fixture.open().use { classifier ->
            fun refusedFrame(frame: Frame, vararg parts: String) {
                refused(ErrorCode.CALLER, *parts) { classifier.classify(frame) }
            }
            val rgb = PixelFormat.RGB
            refusedFrame(Frame.packed(ByteBuffer.allocate(12), 2, 2, rgb), "plane 0", "direct")
            refusedFrame(Frame.packed(direct(11), 2, 2, rgb), "12 bytes, not 11")
            refusedFrame(Frame.packed(direct(12), 0, 2, rgb), "0x2")
            refusedFrame(Frame.packed(direct(12), -2, 2, rgb), "-2")
            refusedFrame(Frame.packed(direct(12), 2, 2, rgb).rotated(45), "45")
            refusedFrame(Frame.packed(direct(12), 2, 2, rgb).rotated(-90), "-90")
            refusedFrame(Frame.packed(direct(12), 2, 2, rgb).region(0f, 0f, 1.5f, 1f), "1.5")
            refusedFrame(Frame.packed(direct(12), 2, 2, rgb).region(0f, Float.NaN, 1f, 1f), "NaN")
            refusedFrame(Frame.ofPlanes(emptyList(), 2, 2, rgb), "planes")
            refusedFrame(Frame.ofPlanes(List(4) { Plane(direct(4), 2, 1) }, 2, 2, PixelFormat.I420), "4")

            val y = Plane(direct(8 * 4), 8, 1)
            val chroma = Plane(direct(16), 8, 2)
            fun yuv(y: Plane, u: Plane, v: Plane) = Frame.yuv420(y, u, v, 6, 4)
            classifier.classify(yuv(y, chroma, chroma))
            refusedFrame(yuv(Plane(y.data, 5, 1), chroma, chroma), "plane Y", "row stride")
            refusedFrame(yuv(Plane(y.data, -8, 1), chroma, chroma), "plane 0", "row stride is -8")
            refusedFrame(yuv(y, Plane(direct(9), 8, 2), chroma), "plane U", "9 bytes")
            refusedFrame(yuv(y, chroma, Plane(chroma.data, 8, 0)), "plane V", "pixel stride")
            refusedFrame(yuv(y, Plane(ByteBuffer.allocate(16), 8, 2), chroma), "plane 1", "direct")
            refusedFrame(Frame.ofPlanes(listOf(y, chroma), 6, 4, PixelFormat.I420), "3 planes", "not 2")
        }
        assertNothingIsOpen()
    }

    /** Java's own way to hand over a null. */
    @Test
    fun aNullBuffer() {
        Fixture.open().use {
            val layout = Fixture.scene().layout()
            refused(ErrorCode.CALLER, "plane 0", "null") { Native.classify(handleOf(it), layout, null, null, null) }
        }
    }

    @Test
    fun messagesOfAnotherBuild() {
        Fixture.open().use { classifier ->
            val handle = handleOf(classifier)
            val buffer = direct(12)
            val layout = Frame.packed(buffer, 2, 2, PixelFormat.RGB).layout()
            fun refusedLayout(change: (ByteArray) -> ByteArray) {
                refused(ErrorCode.INTERNAL, "not of one build") {
                    Native.classify(handle, change(layout.clone()), buffer, null, null)
                }
            }
            refusedLayout { it.copyOf(it.size - 1) }
            refusedLayout { it.apply { this[0] = 9 } }
            refusedLayout { it.apply { this[1] = 99 } }
            refusedLayout { it.apply { this[2] = 4 } }
            refused(ErrorCode.INTERNAL, "cut short") { Native.open(byteArrayOf(WIRE_VERSION, 1, 0)) }
            refused(ErrorCode.INTERNAL, "version 2") { MessageReader(byteArrayOf(2)) }
            refused(ErrorCode.INTERNAL, "cut short") { MessageReader(byteArrayOf(WIRE_VERSION, 1)).int() }
        }
    }

    @Test
    fun bundlesThatAreMissingOrDamaged() {
        Fixture.load()
        refused(ErrorCode.BUNDLE, "/no/such/bundle") { Classifier.open(File("/no/such/bundle")) }
        Fixture.withCopy { copy ->
            val graph = File(copy, "image_encoder.onnx")
            graph.writeBytes(graph.readBytes().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() })
            refused(ErrorCode.BUNDLE, "image_encoder.onnx", "sha256") { Classifier.open(copy) }
            graph.delete()
            refused(ErrorCode.BUNDLE, "image_encoder.onnx") { Classifier.open(copy) }
            File(copy, "manifest.json").writeText("{}")
            refused(ErrorCode.BUNDLE, "manifest.json") { Classifier.open(copy) }
        }
        assertNothingIsOpen()
    }

    @Test
    fun optionsThatCannotBeUsed() {
        fun refusedOptions(code: ErrorCode, part: String, set: ClassifierOptions.Builder.() -> Unit) {
            refused(code, part) { Fixture.open(ClassifierOptions.Builder().apply(set).build()) }
        }
        refusedOptions(ErrorCode.CALLER, "threads") { threads(0) }
        refusedOptions(ErrorCode.CALLER, "threads") { threads(-1) }
        refusedOptions(ErrorCode.CALLER, "twice") { labels(Labels.of("cat", "Cat")) }
        refusedOptions(ErrorCode.CALLER, "no labels") { labels(Labels.of()) }
        refusedOptions(ErrorCode.CALLER, "{}") { labels(Labels.of(listOf("cat"), listOf("a photo"))) }
        refusedOptions(ErrorCode.CALLER, "bank.safetensors") { labels(Labels.fromFile(File("/no/bank.safetensors"))) }
        refusedOptions(ErrorCode.CALLER, "/no/calibration") { calibration(File("/no/calibration.json")) }
        refusedOptions(ErrorCode.CALLER, "-1 candidates") { topK(-1) }
        refusedOptions(ErrorCode.CALLER, "missing") { providers(Providers.firstOf()) }
        refusedOptions(ErrorCode.MACHINE, "qnn is required") { providers(Providers.required(Provider.QNN)) }
        refusedOptions(ErrorCode.POLICY, "drift") { labels(Labels.of("cat", "dog")).watchDrift() }
        assertNothingIsOpen()
    }

    @Test
    fun everyCodeHasANumberOfItsOwn() {
        assertEquals(ErrorCode.entries.size, ErrorCode.entries.map { it.number }.toSet().size)
        assertEquals(ErrorCode.INTERNAL, ErrorCode.of(12345))
    }
}
