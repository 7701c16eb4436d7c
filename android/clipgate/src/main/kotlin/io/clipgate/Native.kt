package io.clipgate

import java.nio.ByteBuffer

/**
 * What `libclipgate_jni.so` exports. It looks for this class by name, and for [ClipgateException]'s constructor: both are
 * kept by the rules in `consumer-rules.pro`.
 *
 * Messages are those of [MessageWriter] and [MessageReader].
 */
internal object Native {
    /** Loads ONNX Runtime from a path or by its name; its version. */
    @JvmStatic
    external fun load(library: String, logLevel: Int): String

    /** Opens a classifier: a [ModelInfo], and the classifier's number. */
    @JvmStatic
    external fun open(request: ByteArray): ByteArray

    /** A [Classification]. */
    @JvmStatic
    external fun classify(
        handle: Long,
        layout: ByteArray,
        first: ByteBuffer?,
        second: ByteBuffer?,
        third: ByteBuffer?,
    ): ByteArray

    /** Forgets the drift of a classifier's frames. */
    @JvmStatic
    external fun resetDrift(handle: Long)

    /** Makes a classifier a live stream: its number. The classifier is closed. */
    @JvmStatic
    external fun startLive(handle: Long, options: ByteArray): Long

    /** Hands a frame to a live stream: a [LiveStatus]. */
    @JvmStatic
    external fun push(
        handle: Long,
        timestampNanos: Long,
        layout: ByteArray,
        first: ByteBuffer?,
        second: ByteBuffer?,
        third: ByteBuffer?,
    ): ByteArray

    /** Waits for a live stream's next event; null after the last one. */
    @JvmStatic
    external fun receive(handle: Long): ByteArray?

    /** Asks a live stream for something, in `limitMillis` at most: a [LiveStatus]. */
    @JvmStatic
    external fun control(handle: Long, command: Int, limitMillis: Long): ByteArray

    /** Closes a classifier or a live stream. */
    @JvmStatic
    external fun close(handle: Long)

    /** How many classifiers and live streams are open. */
    @JvmStatic
    external fun openHandles(): Int
}
