package io.clipgate

import java.nio.ByteBuffer

/**
 * One plane of a [Frame], as a camera hands it over: `Image.Plane` and `ImageProxy.PlaneProxy` have the same three.
 *
 * @property data a direct buffer; its bytes from `position` to `limit` are the plane. The last row may end with its last
 *   value.
 * @property rowStride bytes from a row's begin to the next one's.
 * @property pixelStride bytes from a value to the next one of its kind: 1 for the Y of every planar format, 3 for RGB, 4
 *   for RGBA, 2 for YUYV and for the UV of NV12. U and V of their own have 1, or what the camera says (often 2).
 */
public class Plane(
    public val data: ByteBuffer,
    public val rowStride: Int,
    public val pixelStride: Int,
)

/**
 * Pixels that stay where they are, and how they are to be looked at.
 *
 * Nothing is copied or checked here: [Classifier.classify] and [LiveClassifier.push] refuse a frame whose geometry does
 * not fit its bytes, with a sentence that names the plane. The buffers must be direct ([ByteBuffer.allocateDirect], or the
 * camera's own), and nobody may write to them, or give the camera its image back, until that call returns.
 */
public class Frame private constructor(
    internal val planes: List<Plane>,
    internal val isPacked: Boolean,
    public val width: Int,
    public val height: Int,
    public val format: PixelFormat,
    private val color: ColorSpace = ColorSpace.BT601_LIMITED,
    private val rotationDegrees: Int = 0,
    private val isMirrored: Boolean = false,
    private val region: Region = Region.WHOLE,
) {
    /**
     * Turns the frame clockwise, which makes the picture upright: CameraX calls it `imageInfo.rotationDegrees`.
     *
     * @param degrees 0, 90, 180 or 270.
     */
    public fun rotated(degrees: Int): Frame = copy(rotationDegrees = degrees)

    /** Swaps left and right after the turn, for a front camera that shows a mirror image. */
    public fun mirrored(): Frame = copy(isMirrored = !isMirrored)

    /**
     * The part of the upright picture that is looked at, as a person sees it: 0 is its left or upper edge, 1 its right or
     * lower one.
     */
    public fun region(left: Float, top: Float, right: Float, bottom: Float): Frame =
        copy(region = Region(left, top, right, bottom))

    /** What Y, U and V mean; RGB and grey are sRGB whatever is said here. */
    public fun color(color: ColorSpace): Frame = copy(color = color)

    /** A plane's buffer, where there is one. */
    internal fun buffer(plane: Int): ByteBuffer? = planes.getOrNull(plane)?.data

    /** What `frame.rs` reads. */
    internal fun layout(): ByteArray {
        val message = MessageWriter(LAYOUT_BYTES)
        message.byte(format.ordinal)
        message.byte(color.ordinal)
        message.boolean(isMirrored)
        message.int(width)
        message.int(height)
        message.int(rotationDegrees)
        message.float(region.left)
        message.float(region.top)
        message.float(region.right)
        message.float(region.bottom)
        message.int(if (isPacked) PACKED else planes.size)
        for (number in 0 until PLANES) {
            val plane = planes.getOrNull(number)
            message.int(plane?.data?.position() ?: 0)
            message.int(plane?.data?.remaining() ?: 0)
            message.int(plane?.rowStride ?: 0)
            message.int(plane?.pixelStride ?: 0)
        }
        return message.finish()
    }

    private fun copy(
        color: ColorSpace = this.color,
        rotationDegrees: Int = this.rotationDegrees,
        isMirrored: Boolean = this.isMirrored,
        region: Region = this.region,
    ) = Frame(planes, isPacked, width, height, format, color, rotationDegrees, isMirrored, region)

    internal class Region(val left: Float, val top: Float, val right: Float, val bottom: Float) {
        companion object {
            val WHOLE = Region(0f, 0f, 1f, 1f)
        }
    }

    public companion object {
        /** Planes a frame can have. */
        private const val PLANES = 3
        private const val LAYOUT_BYTES = 84

        /** In the place of a number of planes. */
        private const val PACKED = -1

        /**
         * A packed frame: rows follow each other without a gap, and so do planes. The bytes from the buffer's position to
         * its limit are exactly the frame.
         */
        @JvmStatic
        public fun packed(pixels: ByteBuffer, width: Int, height: Int, format: PixelFormat): Frame =
            Frame(listOf(Plane(pixels, 0, 0)), true, width, height, format)

        /** Planes wherever they lie, in the format's order. */
        @JvmStatic
        public fun ofPlanes(planes: List<Plane>, width: Int, height: Int, format: PixelFormat): Frame =
            Frame(planes.toList(), false, width, height, format)

        /** `YUV_420_888` as Camera2 and CameraX deliver it: Y, U and V with strides of their own. */
        @JvmStatic
        public fun yuv420(y: Plane, u: Plane, v: Plane, width: Int, height: Int): Frame =
            ofPlanes(listOf(y, u, v), width, height, PixelFormat.I420)
    }
}
