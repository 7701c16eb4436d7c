package io.clipgate

import android.graphics.Bitmap
import java.nio.ByteBuffer

/**
 * A copy of a bitmap's pixels. Those of a bitmap in the graphics memory, or of another configuration than `ARGB_8888`,
 * are converted first. Colours of transparent pixels are multiplied by their alpha in a bitmap, so that they look as on
 * black.
 */
internal fun Bitmap.toFrame(): Frame {
    if (isRecycled) throw ClipgateException(ErrorCode.CALLER, "the bitmap was recycled")
    return native {
        val bitmap = if (config == Bitmap.Config.ARGB_8888) this else converted()
        val bytes = bitmap.rowBytes.toLong() * bitmap.height
        if (bytes > Int.MAX_VALUE) {
            throw ClipgateException(ErrorCode.CALLER, "the bitmap has $bytes bytes, more than a buffer can: scale it down")
        }
        val pixels = ByteBuffer.allocateDirect(bytes.toInt())
        try {
            bitmap.copyPixelsToBuffer(pixels)
        } catch (cause: IllegalStateException) {
            throw ClipgateException(ErrorCode.CALLER, "the bitmap cannot be read: ${cause.message}", cause)
        }
        pixels.moveTo(0)
        val plane = Plane(pixels, bitmap.rowBytes, BYTES_PER_PIXEL)
        Frame.ofPlanes(listOf(plane), bitmap.width, bitmap.height, PixelFormat.RGBA)
    }
}

private fun Bitmap.converted(): Bitmap =
    copy(Bitmap.Config.ARGB_8888, false)
        ?: throw ClipgateException(ErrorCode.CALLER, "a bitmap of $config cannot be made one of ARGB_8888")

private const val BYTES_PER_PIXEL = 4
