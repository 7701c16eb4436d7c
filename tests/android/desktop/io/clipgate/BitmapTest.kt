package io.clipgate

import android.graphics.Bitmap
import java.nio.ByteBuffer
import kotlin.concurrent.thread
import org.junit.Assert.assertEquals
import org.junit.Test

class BitmapTest {
    private val pixels = ByteArray(40 * 30 * 4) { (it * 13 % 251).toByte() }

    private fun bitmap(config: Bitmap.Config) =
        Bitmap.createBitmap(40, 30, config).apply { copyPixelsFromBuffer(ByteBuffer.wrap(pixels)) }

    @Test
    fun aBitmapIsItsPixels() {
        Fixture.open().use { classifier ->
            val frame = Frame.packed(Fixture.direct(pixels), 40, 30, PixelFormat.RGBA)
            val expected = classifier.classify(frame).top
            assertEquals(expected, classifier.classify(bitmap(Bitmap.Config.ARGB_8888)).top)
            // In the graphics memory, whose pixels cannot be read as they are.
            assertEquals(expected, classifier.classify(bitmap(Bitmap.Config.HARDWARE)).top)
            val turned = classifier.classify(bitmap(Bitmap.Config.ARGB_8888), 90).top
            assertEquals(classifier.classify(frame.rotated(90)).top, turned)
        }
    }

    /** Another thread may recycle a bitmap at any time. */
    @Test
    fun bitmapsThatAreRecycledMeanwhile() {
        repeat(200) {
            val bitmap = bitmap(Bitmap.Config.ARGB_8888)
            val recycler = thread { bitmap.recycle() }
            try {
                bitmap.toFrame()
            } catch (refusal: ClipgateException) {
                assertEquals(refusal.message, ErrorCode.CALLER, refusal.code)
            }
            recycler.join()
        }
    }

    @Test
    fun bitmapsThatCannotBeRead() {
        Fixture.open().use { classifier ->
            refused(ErrorCode.CALLER, "ALPHA_8") { classifier.classify(bitmap(Bitmap.Config.ALPHA_8)) }
            val recycled = bitmap(Bitmap.Config.ARGB_8888).apply { recycle() }
            refused(ErrorCode.CALLER, "recycled") { classifier.classify(recycled) }
            val huge = Bitmap.createBitmap(30_000, 30_000, Bitmap.Config.ARGB_8888)
            refused(ErrorCode.CALLER, "3600000000 bytes") { classifier.classify(huge) }
        }
    }
}
