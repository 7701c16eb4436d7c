package io.clipgate

/**
 * The native libraries of this process: clipgate's own, and ONNX Runtime's.
 *
 * [Classifier.open] loads both where nothing was loaded before. Call [load] yourself to show more in the log, or to use
 * an ONNX Runtime of your own.
 */
public object Clipgate {
    /** The name of ONNX Runtime's library in its AAR. */
    public const val ONNX_RUNTIME: String = "libonnxruntime.so"

    private const val LIBRARY = "clipgate_jni"

    private var isLinked = false
    private var version: String? = null

    /**
     * Loads both libraries. A process can have one ONNX Runtime: with another one than before this fails; with the same
     * it changes the log level alone.
     *
     * @param onnxRuntime a name that the system's loader finds among the app's libraries, or a path with a `/` in it.
     * @param logLevel what is shown in logcat, under the tag `clipgate`.
     * @return the version of ONNX Runtime.
     * @throws ClipgateException [ErrorCode.MACHINE] if a library is missing, of another ABI, too old, or the second of
     *   its kind.
     */
    @JvmStatic
    @JvmOverloads
    @Synchronized
    public fun load(onnxRuntime: String = ONNX_RUNTIME, logLevel: LogLevel = LogLevel.WARN): String {
        link()
        return Native.load(onnxRuntime, logLevel.number).also { version = it }
    }

    /** Loads what has not been loaded. */
    @Synchronized
    internal fun ensureLoaded(): String = version ?: load()

    /**
     * Classifiers and live streams that are open. For tests: one that is never closed keeps its model in memory until the
     * process ends.
     */
    @JvmStatic
    public fun openHandles(): Int {
        synchronized(this) { link() }
        return Native.openHandles()
    }

    private fun link() {
        if (isLinked) return
        try {
            System.loadLibrary(LIBRARY)
        } catch (cause: UnsatisfiedLinkError) {
            throw ClipgateException(
                ErrorCode.MACHINE,
                "lib$LIBRARY.so cannot be loaded on this device (${System.getProperty("os.arch")}): ${cause.message}. " +
                    "The library has it for arm64-v8a, armeabi-v7a and x86_64: keep these among the app's abiFilters, " +
                    "and install the app from its bundle or a matching split",
                cause,
            )
        }
        isLinked = true
    }
}

/** In logcat, as the native half's. */
internal const val LOG_TAG: String = "clipgate"

/**
 * What is shown in the log.
 *
 * @property number what the native half calls it.
 */
public enum class LogLevel(internal val number: Int) {
    /** Nothing. */
    OFF(0),

    /** What went wrong. */
    ERROR(1),

    /** The same, and what was passed over: a provider that cannot be used, say. */
    WARN(2),

    /** The same, and what was chosen. */
    INFO(3),

    /** Everything; label texts, too. */
    DEBUG(4),
}
