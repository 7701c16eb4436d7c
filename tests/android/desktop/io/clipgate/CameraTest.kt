package io.clipgate

import android.graphics.ImageFormat
import android.graphics.Rect
import androidx.camera.core.ImageInfo
import androidx.camera.core.ImageProxy
import io.clipgate.camera.LiveAnalyzer
import io.clipgate.camera.toFrame
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Test

/** Images of CameraX, made up. */
class CameraTest {
    private val luma = Fixture.direct(ByteArray(STRIDE * HEIGHT) { (it * 31 % 251).toByte() })
    private val chroma = Fixture.direct(ByteArray(STRIDE * HEIGHT / 2) { (it * 17 % 241).toByte() })

    private inner class Image(
        val turn: Int = 0,
        val crop: Rect = Rect(0, 0, WIDTH, HEIGHT),
        val code: Int = ImageFormat.YUV_420_888,
        val nanos: Long = 1,
    ) : ImageProxy {
        var closed = 0

        override fun close() {
            closed++
        }

        override fun getCropRect() = crop
        override fun getFormat() = code
        override fun getHeight() = HEIGHT
        override fun getWidth() = WIDTH

        override fun getPlanes(): Array<ImageProxy.PlaneProxy> = arrayOf(
            PlaneImage(luma, 1),
            PlaneImage(chroma.duplicate().apply { position(1) }, 2),
            PlaneImage(chroma, 2),
        )

        override fun getImageInfo() = object : ImageInfo {
            override fun getTimestamp() = nanos
            override fun getRotationDegrees() = turn
        }
    }

    private class PlaneImage(val bytes: ByteBuffer, val stride: Int) : ImageProxy.PlaneProxy {
        override fun getRowStride() = STRIDE
        override fun getPixelStride() = stride
        override fun getBuffer(): ByteBuffer = bytes
    }

    /** The same part of the sensor's image, however the phone is held. */
    @Test
    fun whatTheViewShowsIsLookedAt() {
        Fixture.open().use { classifier ->
            val crop = Rect(16, 0, 64, 30)
            fun frame() = Frame.yuv420(
                Plane(luma, STRIDE, 1),
                Plane(chroma.duplicate().apply { position(1) }, STRIDE, 2),
                Plane(chroma, STRIDE, 2),
                WIDTH,
                HEIGHT,
            ).color(ColorSpace.BT601_FULL)
            val (left, top, right, bottom) = listOf(0.25f, 0f, 1f, 0.625f)
            val expected = mapOf(
                0 to frame().region(left, top, right, bottom),
                90 to frame().rotated(90).region(1 - bottom, left, 1 - top, right),
                180 to frame().rotated(180).region(1 - right, 1 - bottom, 1 - left, 1 - top),
                270 to frame().rotated(270).region(top, 1 - right, bottom, 1 - left),
            )
            for ((turn, frame) in expected) {
                assertEquals("$turn", classifier.classify(frame).top, classifier.classify(Image(turn, crop).toFrame()).top)
            }
        }
    }

    @Test
    fun everyImageIsClosedOnce() {
        val errors = ArrayList<ClipgateException>()
        val live = LiveClassifier.start(Fixture.open(), Runnable::run, listener = {})
        val analyzer = LiveAnalyzer(live, errors::add)
        val images = listOf(
            Image(nanos = 1),
            Image(nanos = 1),
            Image(code = 256, nanos = 2),
            Image(turn = 45, nanos = 3),
            Image(nanos = 4),
        )
        images.forEach(analyzer::analyze)
        live.close()
        val late = Image(nanos = 5)
        analyzer.analyze(late)
        (images + late).forEach { assertEquals(1, it.closed) }
        val codes = listOf(ErrorCode.CALLER, ErrorCode.CALLER, ErrorCode.CALLER, ErrorCode.CLOSED)
        assertEquals("$errors", codes, errors.map { it.code })
        assertNothingIsOpen()
    }

    private companion object {
        const val WIDTH = 64
        const val HEIGHT = 48
        const val STRIDE = 80
    }
}
