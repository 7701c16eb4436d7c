package io.clipgate

/**
 * The answer to one frame of a live stream.
 *
 * @property frame number of the frame: every frame that was pushed counts, from 0.
 * @property timestampNanos the frame's timestamp, as it was pushed.
 * @property decision what the stream shows, without flicker; nothing is promised of it. [Reason.UNSETTLED] until it has
 *   shown one thing for long enough.
 * @property sinceNanos timestamp of the frame since which it has been this label or this reason.
 * @property raw the gate's answer to a single frame, with its own promise: this one, or where it was skipped the last one
 *   that was not.
 * @property rawTimestampNanos timestamp of the frame that [raw] answers.
 * @property isSkipped whether the frame was taken to show what the last answered one showed, so that the model was not
 *   asked.
 * @property tookNanos wall-clock time from beginning to answer, without waiting.
 * @property dropped frames that were dropped before this one because newer ones came.
 */
public data class LiveAnswer(
    public val frame: Long,
    public val timestampNanos: Long,
    public val decision: Decision,
    public val sinceNanos: Long,
    public val raw: Classification,
    public val rawTimestampNanos: Long,
    public val isSkipped: Boolean,
    public val tookNanos: Long,
    public val dropped: Long,
)

/**
 * What a live stream has done with its frames. Each that was pushed is answered, skipped, dropped or failed, but for one
 * that is at work and one that waits.
 *
 * @property pushed frames taken.
 * @property answered frames that the model answered.
 * @property skipped frames that were taken for unchanged.
 * @property dropped frames that a newer one replaced before their turn.
 * @property failed frames that met an error.
 * @property late times that the model took longer than the deadline and came back.
 * @property resultsDropped results that a newer one replaced because the listener was busy.
 * @property isStopped whether the stream takes no more frames.
 * @property isStuck whether a frame has been at work for longer than the deadline.
 */
public data class LiveStatus(
    public val pushed: Long,
    public val answered: Long,
    public val skipped: Long,
    public val dropped: Long,
    public val failed: Long,
    public val late: Long,
    public val resultsDropped: Long,
    public val isStopped: Boolean,
    public val isStuck: Boolean,
)

/** What a live stream tells. */
internal sealed class LiveEvent {
    class Answered(val answer: LiveAnswer) : LiveEvent()

    class Failed(val error: ClipgateException) : LiveEvent()

    class Late(val frame: Long, val timestampNanos: Long, val tookNanos: Long) : LiveEvent()
}
