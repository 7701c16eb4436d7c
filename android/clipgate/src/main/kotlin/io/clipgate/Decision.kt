package io.clipgate

/**
 * What the gate says of a frame. Abstaining is an answer, not an error.
 *
 * ```kotlin
 * when (val decision = classifier.classify(frame).decision) {
 *     is Decision.Accept -> show(decision.label.name)
 *     is Decision.Abstain -> show("not sure: ${decision.reason.sentence}")
 * }
 * ```
 */
public sealed class Decision {
    /**
     * The label passed every threshold.
     *
     * @property label what the frame shows.
     * @property confidence calibrated probability, 0 to 1; null where there is one label and nothing to compare it with.
     */
    public data class Accept(public val label: Label, public val confidence: Float?) : Decision()

    /**
     * No label is given.
     *
     * @property reason the first rule that the frame failed.
     * @property set for [Reason.AMBIGUOUS], the labels of which one is the true one, as far as the calibration promises,
     *   most probable first; empty otherwise.
     */
    public data class Abstain(public val reason: Reason, public val set: List<Label>) : Decision()

    /** The accepted label, or null. */
    public val labelOrNull: Label?
        get() = (this as? Accept)?.label
}

/**
 * A label that is told apart.
 *
 * @property index its place among [Classifier.labels].
 * @property name as it was written.
 */
public data class Label(public val index: Int, public val name: String)

/**
 * The rule that a frame failed, in the order in which the gate asks.
 *
 * @property code its name in clipgate's JSON.
 * @property sentence for people, the end of "not sure: ...", in English.
 */
public enum class Reason(public val code: String, public val sentence: String) {
    /** The frame shows nothing: a covered lens, a flash, a dead sensor. The model was not asked. */
    UNUSABLE_FRAME("unusable_frame", "the frame shows nothing (dark, flat or covered)"),

    /** Nothing that the labels describe is near enough. */
    OUT_OF_DISTRIBUTION("out_of_distribution", "this looks like none of the labels"),

    /** A label is near, but its calibrated confidence is below the threshold. */
    LOW_CONFIDENCE("low_confidence", "a label is near, but not surely enough"),

    /** More than one label is in the set that the calibration promises to hold the true one. */
    AMBIGUOUS("ambiguous", "more than one label fits"),

    /** The frame itself passed, but the frames so far look unlike the calibration's images. */
    STALE_CALIBRATION("stale_calibration", "the images have changed since the calibration, fit it again"),

    /** Of a live stream alone: it has not shown one thing for long enough. */
    UNSETTLED("unsettled", "nothing has been shown for long enough yet");

    internal companion object {
        fun of(code: String): Reason =
            entries.firstOrNull { it.code == code } ?: throw otherBuild("a reason called $code")
    }
}
