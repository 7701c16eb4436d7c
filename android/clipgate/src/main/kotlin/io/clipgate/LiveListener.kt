package io.clipgate

/** Hears of a live stream's frames, one call at a time. */
public fun interface LiveListener {
    /** A frame was answered, or skipped as unchanged. */
    public fun onAnswer(answer: LiveAnswer)

    /**
     * A frame could not be answered, or [onAnswer] threw ([ErrorCode.LISTENER], its exception is the cause); the next
     * frame is tried all the same.
     */
    public fun onError(error: ClipgateException) {}

    /** A frame took the model longer than the deadline; its own answer follows. */
    public fun onLate(frame: Long, timestampNanos: Long, tookNanos: Long) {}
}
