package io.clipgate.camera

import android.graphics.ImageFormat
import android.graphics.PixelFormat.RGBA_8888
import androidx.camera.core.ImageProxy
import io.clipgate.ClipgateException
import io.clipgate.ColorSpace
import io.clipgate.ErrorCode
import io.clipgate.Frame
import io.clipgate.PixelFormat
import io.clipgate.Plane

/**
 * A camera's image where it lies: its planes with their strides, turned upright, cut to what the view shows where a
 * `ViewPort` is set. The frame is of use until the image is closed.
 *
 * `YUV_420_888` of a camera is BT.601 of full range, as JPEG.
 *
 * @throws ClipgateException [ErrorCode.CALLER] for an image that is neither `YUV_420_888` nor `RGBA_8888`.
 */
public fun ImageProxy.toFrame(): Frame {
    val planes = planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
    val frame = when (format) {
        ImageFormat.YUV_420_888 -> Frame.ofPlanes(planes, width, height, PixelFormat.I420).color(ColorSpace.BT601_FULL)
        RGBA_8888 -> Frame.ofPlanes(planes, width, height, PixelFormat.RGBA)
        else -> throw ClipgateException(
            ErrorCode.CALLER,
            "an image of Android's format $format: set ImageAnalysis.Builder.setOutputImageFormat to " +
                "OUTPUT_IMAGE_FORMAT_YUV_420_888",
        )
    }
    return shown(frame.rotated(imageInfo.rotationDegrees))
}

/** Cut to [ImageProxy.getCropRect], which lies on the image as the sensor sees it; a region is one of the upright picture. */
private fun ImageProxy.shown(frame: Frame): Frame {
    val crop = cropRect
    val (left, right) = crop.left.toFloat() / width to crop.right.toFloat() / width
    val (top, bottom) = crop.top.toFloat() / height to crop.bottom.toFloat() / height
    return when (imageInfo.rotationDegrees) {
        90 -> frame.region(1 - bottom, left, 1 - top, right)
        180 -> frame.region(1 - right, 1 - bottom, 1 - left, 1 - top)
        270 -> frame.region(top, 1 - right, bottom, 1 - left)
        else -> frame.region(left, top, right, bottom)
    }
}
