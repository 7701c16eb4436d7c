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

    /** Geometry whose products no number holds, and the largest that one does. */
    @Test
    fun framesBeyondAllBounds() {
        val most = Int.MAX_VALUE
        Fixture.open().use { classifier ->
            fun refusedFrame(frame: Frame, vararg parts: String) {
                refused(ErrorCode.CALLER, *parts) { classifier.classify(frame) }
            }
            val bytes = direct(64)
            for (format in PixelFormat.entries) {
                refusedFrame(Frame.packed(bytes, most, most, format), "32768")
                refusedFrame(Frame.packed(bytes, 32768, 32768, format), "bytes, not 64")
                refusedFrame(Frame.packed(bytes, 1, Int.MIN_VALUE, format), "-2147483648")
                val planes = List(3) { Plane(bytes, most, most) }
                refusedFrame(Frame.ofPlanes(planes, 4, 4, format))
            }
            for (stride in listOf(most, most - 1, 1 shl 30, 65, 0, -1, Int.MIN_VALUE)) {
                val plane = Plane(bytes, stride, 1)
                refusedFrame(Frame.ofPlanes(listOf(plane), 4, 32768, PixelFormat.GRAY), "stride")
                refusedFrame(Frame.ofPlanes(listOf(Plane(bytes, 64, stride)), 4, 4, PixelFormat.GRAY))
            }
            refusedFrame(Frame.packed(bytes, 4, 4, PixelFormat.RGBA).region(0.5f, 0f, 0.5f, 1f))
            refusedFrame(Frame.packed(bytes, 4, 4, PixelFormat.RGBA).region(Float.NEGATIVE_INFINITY, 0f, 1f, 1f))
            refusedFrame(Frame.packed(bytes, 4, 4, PixelFormat.RGBA).rotated(most))
        }
    }

    /** One pixel, odd edges whose chroma rounds up, and a last row that ends with its last value: all are answered. */
    @Test
    fun framesOfOddSizes() {
        Fixture.open().use { classifier ->
            classifier.classify(direct(3), 1, 1, PixelFormat.RGB)
            for (format in listOf(PixelFormat.I420, PixelFormat.YV12, PixelFormat.NV12, PixelFormat.NV21)) {
                classifier.classify(direct(5 * 3 + 2 * 3 * 2), 5, 3, format)
                refused(ErrorCode.CALLER, "27 bytes, not 26") { classifier.classify(direct(26), 5, 3, format) }
            }
            val y = Plane(direct(8 * 2 + 5), 8, 1)
            val chroma = Plane(direct(8 + 5), 8, 2)
            classifier.classify(Frame.yuv420(y, chroma, chroma, 5, 3))
            // A slice, a part from the position on, and bytes that cannot be written to.
            val whole = direct(100).apply { position(40) }
            classifier.classify(whole.slice().limit(48) as ByteBuffer, 4, 4, PixelFormat.RGB)
            classifier.classify(whole.limit(88) as ByteBuffer, 4, 4, PixelFormat.RGB)
            classifier.classify(whole.asReadOnlyBuffer(), 4, 4, PixelFormat.RGB)
            refused(ErrorCode.CALLER, "48 bytes, not 0") {
                classifier.classify(whole.apply { position(limit()) }, 4, 4, PixelFormat.RGB)
            }
        }
    }

    /** Numbers far from any that makes sense are refused, or do no harm. */
    @Test
    fun optionsAtTheEndsOfTheirTypes() {
        fun options(set: ClassifierOptions.Builder.() -> Unit) = ClassifierOptions.Builder().apply(set).build()
        Fixture.open(options { topK(Int.MAX_VALUE) }).use {
            assertEquals(it.labels.size, it.classify(Fixture.scene()).top.size)
        }
        Fixture.open(options { topK(0) }).use { assertEquals(0, it.classify(Fixture.scene()).top.size) }
        for (threads in listOf(257, Int.MAX_VALUE, Int.MIN_VALUE)) {
            refused(ErrorCode.CALLER, "threads") { Fixture.open(options { threads(threads) }) }
        }
        val longest = Long.MAX_VALUE
        val live = LiveOptions.Builder()
            .smoothing(Smoothing(longest, longest, longest))
            .unchanged(Unchanged(longestMillis = longest))
            .deadlineMillis(longest)
            .maxFrameBytes(longest)
            .build()
        LiveClassifier.start(Fixture.open(), Runnable::run, live) {}.use {
            it.push(Fixture.scene(), Long.MAX_VALUE)
            assertEquals(1, it.finish(longest).answered)
        }
        for (never in listOf(Float.NaN, Float.NEGATIVE_INFINITY)) {
            val smoothing = LiveOptions.Builder().smoothing(Smoothing(confidence = never)).build()
            refused(ErrorCode.CALLER) { LiveClassifier.start(Fixture.open(), Runnable::run, smoothing) {} }
            val unchanged = LiveOptions.Builder().unchanged(Unchanged(never, never)).build()
            refused(ErrorCode.CALLER) { LiveClassifier.start(Fixture.open(), Runnable::run, unchanged) {} }
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
