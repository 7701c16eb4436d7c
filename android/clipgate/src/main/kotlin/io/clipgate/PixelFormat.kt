package io.clipgate

/**
 * How the bytes of a [Frame] are laid out, 8 bits a value. The order is that of the native half.
 */
public enum class PixelFormat {
    /** Red, green, blue; 3 bytes a pixel. */
    RGB,

    /** Blue, green, red; 3 bytes a pixel. */
    BGR,

    /** Red, green, blue, alpha; 4 bytes a pixel: a bitmap's `ARGB_8888` in memory. Alpha is ignored. */
    RGBA,

    /** Blue, green, red, alpha; 4 bytes a pixel. Alpha is ignored. */
    BGRA,

    /** Luminance of the full range 0 to 255; 1 byte a pixel. */
    GRAY,

    /** Two planes: Y, then U and V by turns, one of each for 2x2 pixels. */
    NV12,

    /** Two planes: Y, then V and U by turns, one of each for 2x2 pixels. The old camera API's default. */
    NV21,

    /** Three planes: Y, U, V; one U and V for 2x2 pixels. `YUV_420_888` is this, with strides of its own. */
    I420,

    /** Three planes: Y, V, U; one U and V for 2x2 pixels. */
    YV12,

    /** One plane of Y, U, Y, V: 4 bytes for two pixels side by side. */
    YUYV,

    /** One plane of U, Y, V, Y: 4 bytes for two pixels side by side. */
    UYVY,
}

/**
 * How Y, U and V become red, green and blue; asked of YUV formats alone. The order is that of the native half.
 */
public enum class ColorSpace {
    /** BT.601 of limited range: the default, and what most cameras' documentation says. */
    BT601_LIMITED,

    /** BT.601 of full range: JPEG's, and what many phones deliver as `YUV_420_888`. */
    BT601_FULL,

    /** BT.709 of limited range: high definition video. */
    BT709_LIMITED,

    /** BT.709 of full range. */
    BT709_FULL,
}
