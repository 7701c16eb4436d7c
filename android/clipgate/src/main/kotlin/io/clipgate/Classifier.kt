package io.clipgate

import android.content.Context
import android.graphics.Bitmap
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicLong

/**
 * Answers single frames: a label with a calibrated confidence, or an abstention with its reason.
 *
 * ```kotlin
 * Classifier.open(context, "pocket").use { classifier ->
 *     when (val decision = classifier.classify(bitmap).decision) {
 *         is Decision.Accept -> println(decision.label.name)
 *         is Decision.Abstain -> println("not sure: ${decision.reason.sentence}")
 *     }
 * }
 * ```
 *
 * Opening takes the time of reading the model and running its self-test: do it, as everything here, on another thread
 * than the main one. Any thread may call, but one frame is answered at a time, and the others wait: for several at once,
 * open several classifiers. For a camera use [LiveClassifier].
 *
 * It holds native memory until it is closed. [close] may be called at any time and by any thread: what is being answered
 * is answered, and every later call is refused with [ErrorCode.CLOSED].
 */
public class Classifier private constructor(opened: Opened) : AutoCloseable {
    private val handle = AtomicLong(opened.handle)
    private val answers = opened.answers

    /** What it is made of: the model, its licence, the threshold, which provider runs it. */
    public val info: ModelInfo = opened.info

    /** The names of the labels that are told apart, by [Label.index]. */
    public val labels: List<String>
        get() = answers.labels

    /**
     * Answers one frame, whose buffers nobody may write to until this returns.
     *
     * @throws ClipgateException [ErrorCode.CALLER] if the frame's geometry does not fit its bytes, naming the plane, or
     *   if a buffer is not direct; [ErrorCode.MODEL] if the model computes nothing of use; [ErrorCode.CLOSED].
     */
    public fun classify(frame: Frame): Classification = native {
        answers.classification(
            Native.classify(open(), frame.layout(), frame.buffer(0), frame.buffer(1), frame.buffer(2)),
        )
    }

    /**
     * Answers a packed frame in a direct buffer: the bytes from its position to its limit.
     *
     * @param rotationDegrees the clockwise turn that makes the picture upright: 0, 90, 180 or 270.
     * @throws ClipgateException as the other.
     */
    @JvmOverloads
    public fun classify(
        pixels: ByteBuffer,
        width: Int,
        height: Int,
        format: PixelFormat,
        rotationDegrees: Int = 0,
    ): Classification = classify(Frame.packed(pixels, width, height, format).rotated(rotationDegrees))

    /**
     * Answers a bitmap. Its pixels are copied, which a camera's [Frame] does without.
     *
     * @param rotationDegrees the clockwise turn that makes the picture upright: 0, 90, 180 or 270.
     * @throws ClipgateException as the others, or [ErrorCode.CALLER] if the bitmap was recycled;
     *   [ErrorCode.OUT_OF_MEMORY] if there is no room for the copy.
     */
    @JvmOverloads
    public fun classify(bitmap: Bitmap, rotationDegrees: Int = 0): Classification =
        classify(bitmap.toFrame().rotated(rotationDegrees))

    /** Forgets the drift of the frames so far, and with it [Reason.STALE_CALIBRATION]. */
    public fun resetDrift(): Unit = native { Native.resetDrift(open()) }

    /** Gives the model's memory back. Closing again does nothing. */
    override fun close() {
        val handle = handle.getAndSet(CLOSED)
        if (handle != CLOSED) Native.close(handle)
    }

    /** Makes it a live stream, to which it belongs from here on. */
    internal fun startLive(options: ByteArray): Pair<Long, Answers> {
        val handle = handle.getAndSet(CLOSED)
        if (handle == CLOSED) throw closed()
        try {
            return native { Native.startLive(handle, options) } to answers
        } catch (failure: ClipgateException) {
            // Where the options were refused, it is still there.
            Native.close(handle)
            throw failure
        }
    }

    private fun open(): Long = handle.get().also { if (it == CLOSED) throw closed() }

    private fun closed() = ClipgateException(
        ErrorCode.CLOSED,
        "the classifier was closed, or belongs to a LiveClassifier: open another one, and close it only when nothing " +
            "is asked of it any more",
    )

    public companion object {
        /** No classifier's number. */
        private const val CLOSED = 0L

        /**
         * Opens a bundle that lies in the app's assets, where it is used in place: its files must not be compressed
         * (`androidResources { noCompress += ... }`, see the README).
         *
         * @param assetDirectory the bundle's directory below `src/main/assets`, such as `pocket`.
         * @throws ClipgateException [ErrorCode.BUNDLE] if a file is missing, compressed or damaged; [ErrorCode.MACHINE]
         *   if a native library cannot be loaded, or a required provider not be used; [ErrorCode.MODEL] if the self-test
         *   fails; [ErrorCode.POLICY] for a calibration of another graph; [ErrorCode.CALLER] for labels or options that
         *   cannot be used.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(
            context: Context,
            assetDirectory: String,
            options: ClassifierOptions = ClassifierOptions.DEFAULT,
        ): Classifier {
            Clipgate.ensureLoaded()
            return BundleSource.Assets(context.assets, assetDirectory).use { open(it, options) }
        }

        /**
         * Opens a bundle that lies in a directory: one that was downloaded.
         *
         * @throws ClipgateException as the other.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(
            directory: File,
            options: ClassifierOptions = ClassifierOptions.DEFAULT,
        ): Classifier {
            Clipgate.ensureLoaded()
            return BundleSource.Directory(directory).use { open(it, options) }
        }

        private fun open(source: BundleSource, options: ClassifierOptions): Classifier {
            val request = MessageWriter(options.message).apply(source::write).finish()
            val message = native { Native.open(request) }
            return try {
                native { Classifier(Opened(message)) }
            } catch (failure: ClipgateException) {
                Native.close(Opened.handle(message))
                throw failure
            }
        }
    }
}

/** Runs a native call; that Java's heap is full is told as everything else is. */
internal inline fun <T> native(call: () -> T): T =
    try {
        call()
    } catch (cause: OutOfMemoryError) {
        throw ClipgateException(ErrorCode.OUT_OF_MEMORY, "no memory is left: ${cause.message}", cause)
    }
