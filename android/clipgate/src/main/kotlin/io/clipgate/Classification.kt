package io.clipgate

/**
 * The answer to one frame.
 *
 * @property decision accept or abstain.
 * @property top the most similar labels, best first; empty for an unusable frame.
 * @property scores what was asked whether the frame shows anything that the labels describe, by the names in clipgate's
 *   JSON; larger means more likely so. Empty for an unusable frame.
 * @property isCalibrated whether temperature and thresholds were fitted on these very labels. Where they were not,
 *   confidences and thresholds are a guess.
 * @property promise what is promised of accepted answers; always [PromiseKind.NONE] where they are not calibrated.
 * @property drift whether the frames still look like the calibration's images; null unless
 *   [ClassifierOptions.Builder.watchDrift] asked.
 * @property timings where the time went, without that of the bridge to Java (some microseconds).
 */
public data class Classification(
    public val decision: Decision,
    public val top: List<Candidate>,
    public val scores: Map<String, Float>,
    public val isCalibrated: Boolean,
    public val promise: PromiseKind,
    public val drift: Drift?,
    public val timings: Timings,
)

/**
 * A label near the frame.
 *
 * @property label which one.
 * @property probability calibrated, 0 to 1; null where there is nothing to compare it with.
 * @property similarity cosine, -1 to 1.
 */
public data class Candidate(
    public val label: Label,
    public val probability: Float?,
    public val similarity: Float,
)

/**
 * Wall-clock time of each stage, in nanoseconds.
 *
 * @property preprocessNanos from the frame's bytes to the model's input.
 * @property encodeNanos the model; 0 where it was not asked.
 * @property decideNanos from its output to the decision; 0 where it was not asked.
 */
public data class Timings(
    public val preprocessNanos: Long,
    public val encodeNanos: Long,
    public val decideNanos: Long,
) {
    /** All of them. */
    public val totalNanos: Long
        get() = preprocessNanos + encodeNanos + decideNanos
}

/**
 * Whether the frames still look like the images that the calibration was fitted on.
 *
 * @property frames scores seen.
 * @property compared scores compared with the calibration's.
 * @property evidence natural logarithm of what bets on a difference have won.
 * @property limit the evidence that raises the alarm.
 * @property isStale whether it was raised: every frame that would be accepted is [Reason.STALE_CALIBRATION] then.
 */
public data class Drift(
    public val frames: Long,
    public val compared: Long,
    public val evidence: Double,
    public val limit: Double,
    public val isStale: Boolean,
)

/**
 * What is promised of accepted answers.
 *
 * @property code its name in clipgate's JSON.
 */
public enum class PromiseKind(public val code: String) {
    /** With the stated confidence, at most the target share of accepted answers is wrong. */
    HIGH_PROBABILITY("high_probability"),

    /** On average over calibrations like this one, at most the target share of all images is accepted and wrong. */
    EXPECTATION("expectation"),

    /** On average, the set of labels lacks the true one for at most the target share of images. */
    MARGINAL_COVERAGE("marginal_coverage"),

    /** Nothing: the thresholds are an estimate. */
    NONE("none");

    internal companion object {
        fun of(code: String): PromiseKind =
            entries.firstOrNull { it.code == code } ?: throw otherBuild("a promise called $code")
    }
}
