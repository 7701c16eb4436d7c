package io.clipgate

/** How a live stream is answered; everything has a default, which `src/docs/streams.md` of clipgate explains. */
public class LiveOptions private constructor(
    /** What `request.rs` reads. */
    internal val message: ByteArray,
    internal val stopMillis: Long,
) {
    /** Sets options one after the other. */
    public class Builder {
        private var smoothing: Smoothing? = Smoothing()
        private var unchanged: Unchanged? = Unchanged()
        private var deadlineMillis: Long? = null
        private var maxFrameBytes: Long? = null

        /** How decisions are smoothed over time; null takes every raw decision as it is. */
        public fun smoothing(smoothing: Smoothing?): Builder = apply { this.smoothing = smoothing }

        /** Which frames are skipped as unchanged; null asks the model about every frame. */
        public fun unchanged(unchanged: Unchanged?): Builder = apply { this.unchanged = unchanged }

        /** How long the model may take for a frame before that is reported; 2000 unless set. [LiveClassifier.close] waits
         * as long. */
        public fun deadlineMillis(millis: Long): Builder = apply { deadlineMillis = millis }

        /** The most bytes a frame may have, 64 MiB unless set. Three frames are kept at most. */
        public fun maxFrameBytes(bytes: Long): Builder = apply { maxFrameBytes = bytes }

        /** The options as they are set now; the builder can be used on. */
        public fun build(): LiveOptions {
            val message = MessageWriter()
            message.optional(smoothing) { it.write(message) }
            message.optional(unchanged) { it.write(message) }
            message.optional(deadlineMillis, message::long)
            message.optional(maxFrameBytes, message::long)
            message.int(RESULTS)
            return LiveOptions(message.finish(), deadlineMillis ?: DEFAULT_STOP_MILLIS)
        }
    }

    public companion object {
        /** Results that wait for the listener: the newest. */
        private const val RESULTS = 1
        private const val DEFAULT_STOP_MILLIS = 2000L

        /** Everything as it is unless set. */
        @JvmField
        public val DEFAULT: LiveOptions = Builder().build()
    }
}

/**
 * How a stream's decision is kept from flickering: averages over time, and what it takes to change it. What is null is as
 * `src/docs/streams.md` of clipgate says.
 *
 * @property timeConstantMillis over which the weight of a frame falls to 1/e; 500 unless set. 0 takes each for itself.
 * @property holdMillis how long a new label must be asked for before it takes the old one's place; 300 unless set.
 * @property maxGapMillis the longest time between two frames that are still one stream; 2000 unless set.
 * @property confidence the average probability that names a label; the calibration's threshold unless set.
 */
public class Smoothing @JvmOverloads constructor(
    public val timeConstantMillis: Long? = null,
    public val holdMillis: Long? = null,
    public val maxGapMillis: Long? = null,
    public val confidence: Float? = null,
) {
    internal fun write(message: MessageWriter) {
        message.optional(timeConstantMillis, message::long)
        message.optional(holdMillis, message::long)
        message.optional(maxGapMillis, message::long)
        message.optional(confidence, message::float)
    }
}

/**
 * Which frames are skipped because they show what the last answered frame showed: 1,024 cells have their mean luma
 * compared.
 *
 * @property difference units of luma, 0 to 255, by which an unchanged cell may differ; 6 unless set.
 * @property area share of the cells, 0 to 1, that may differ by more; 0.01 unless set.
 * @property longestMillis the longest time without an answer; 1000 unless set.
 */
public class Unchanged @JvmOverloads constructor(
    public val difference: Float? = null,
    public val area: Float? = null,
    public val longestMillis: Long? = null,
) {
    internal fun write(message: MessageWriter) {
        message.optional(difference, message::float)
        message.optional(area, message::float)
        message.optional(longestMillis, message::long)
    }
}
