package io.clipgate

import java.io.File

/** What a [Classifier] is opened with; everything has a default. */
public class ClassifierOptions private constructor(
    /** What `request.rs` reads before the bundle's place. */
    internal val message: ByteArray,
) {
    /**
     * Sets options one after the other.
     *
     * ```kotlin
     * val options = ClassifierOptions.Builder()
     *     .labels(Labels.of("a cat", "a dog"))
     *     .providers(Providers.firstOf(Provider.QNN))
     *     .threads(2)
     *     .build()
     * ```
     */
    public class Builder {
        private var labels: Labels = Labels.bundled()
        private var providers: Providers = Providers.CPU
        private var threads: Int? = null
        private var copiesModel: Boolean = false
        private var qnnPlugin: File? = null
        private var providerCache: File? = null
        private var calibration: File? = null
        private var drift: DriftOptions? = null
        private var topK: Int? = null

        /** What is told apart; the bundle's labels unless set. */
        public fun labels(labels: Labels): Builder = apply { this.labels = labels }

        /** What may execute the image graph; the CPU unless set. */
        public fun providers(providers: Providers): Builder = apply { this.providers = providers }

        /** Threads of the model, 1 to 256, the calling one among them; 1 unless set, which uses the least energy. */
        public fun threads(threads: Int): Builder = apply { this.threads = threads }

        /**
         * Copies the model into the process's memory instead of mapping it. Needed only where its file may be written to
         * while it is used.
         */
        public fun copyModel(): Builder = apply { copiesModel = true }

        /**
         * Qualcomm's plugin, `libonnxruntime_providers_qnn.so`, for [Provider.QNN]. It must be a file, so the app has
         * `jniLibs.useLegacyPackaging = true`, and lies in `applicationInfo.nativeLibraryDir` then.
         */
        public fun qnnPlugin(library: File): Builder = apply { qnnPlugin = library }

        /** A directory that keeps what [Providers.fastest] found out, such as `context.cacheDir`; nothing unless set. */
        public fun providerCache(directory: File): Builder = apply { providerCache = directory }

        /** A calibration of your own, which `clipgate calibrate` made; the bundle's unless set. */
        public fun calibration(file: File): Builder = apply { calibration = file }

        /**
         * Watches the frames for drift away from the calibration's images. From the alarm on, what would be accepted is
         * [Reason.STALE_CALIBRATION] until `resetDrift`.
         *
         * @param falseAlarm the probability that it is ever raised without cause, 1e-12 to below 1; 0.05 unless set.
         * @param stride compares every so many frames; 30 unless set. Two compared frames should not show the same thing.
         */
        @JvmOverloads
        public fun watchDrift(falseAlarm: Double? = null, stride: Int? = null): Builder =
            apply { drift = DriftOptions(falseAlarm, stride) }

        /** Candidates that each answer lists; 5 unless set. */
        public fun topK(count: Int): Builder = apply { topK = count }

        /** The options as they are set now; the builder can be used on. */
        public fun build(): ClassifierOptions {
            val message = MessageWriter()
            message.text(providers.list)
            message.optional(threads, message::int)
            message.boolean(copiesModel)
            message.optional(qnnPlugin) { message.text(it.path) }
            message.optional(providerCache) { message.text(it.path) }
            labels.write(message)
            message.optional(calibration) { message.text(it.path) }
            message.optional(drift) {
                message.optional(it.falseAlarm, message::double)
                message.optional(it.stride, message::int)
            }
            message.optional(topK, message::int)
            return ClassifierOptions(message.finish())
        }

        private class DriftOptions(val falseAlarm: Double?, val stride: Int?)
    }

    public companion object {
        /** Everything as it is unless set. */
        @JvmField
        public val DEFAULT: ClassifierOptions = Builder().build()
    }
}
