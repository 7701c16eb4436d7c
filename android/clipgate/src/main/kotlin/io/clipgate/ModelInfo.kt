package io.clipgate

/**
 * What a classifier is made of.
 *
 * @property id the bundle's name.
 * @property version of the bundle, growing.
 * @property licence of the model.
 * @property location where the bundle was opened.
 * @property hasTextEncoder whether it can be opened with [Labels.of].
 * @property onnxRuntime version of ONNX Runtime.
 * @property threshold the calibrated confidence that a label must reach, 0 to 1.
 * @property isCalibrated whether temperature and thresholds were fitted on these very labels.
 * @property promise what is promised of accepted answers.
 * @property loading how long it took to be ready.
 * @property providers what came of each provider that was tried, the one that runs the graph among them.
 */
public data class ModelInfo(
    public val id: String,
    public val version: Long,
    public val licence: String,
    public val location: String,
    public val hasTextEncoder: Boolean,
    public val onnxRuntime: String,
    public val threshold: Float,
    public val isCalibrated: Boolean,
    public val promise: Promise,
    public val loading: LoadTimings,
    public val providers: List<ProviderReport>,
) {
    /** The provider that runs the graph. */
    public val provider: String
        get() = providers.first { it.isChosen }.name
}

/**
 * What is promised of accepted answers, and under which conditions.
 *
 * @property kind how strong it is.
 * @property target the share that is kept small; null where nothing is promised.
 * @property confidence the probability with which that holds; null where it is not stated.
 * @property conditions in words.
 */
public data class Promise(
    public val kind: PromiseKind,
    public val target: Double?,
    public val confidence: Double?,
    public val conditions: String,
)

/**
 * Wall-clock time until a classifier was ready, in nanoseconds.
 *
 * @property readNanos reading the graph and checking its digest.
 * @property sessionNanos making ONNX Runtime's session.
 * @property selfTestNanos running the self-test, the graph's first run.
 */
public data class LoadTimings(
    public val readNanos: Long,
    public val sessionNanos: Long,
    public val selfTestNanos: Long,
)

/**
 * A provider that was tried.
 *
 * @property name its name, one of those in [Provider].
 * @property isChosen whether it runs the graph.
 * @property text what came of it, in words: `qnn: absent: no QNN plugin library was named`.
 */
public data class ProviderReport(
    public val name: String,
    public val isChosen: Boolean,
    public val text: String,
)
