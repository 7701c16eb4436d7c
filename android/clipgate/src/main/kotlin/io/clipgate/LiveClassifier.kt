package io.clipgate

import android.util.Log
import java.util.concurrent.Executor
import java.util.concurrent.Semaphore
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicLong
import kotlin.concurrent.thread

/**
 * Answers a camera's frames as they come: the newest wins.
 *
 * ```kotlin
 * val main = ContextCompat.getMainExecutor(context)
 * val live = LiveClassifier.start(Classifier.open(context, "pocket"), main) { answer ->
 *     text.text = answer.decision.labelOrNull?.name ?: "not sure"
 * }
 * // for every frame of the camera, whose image can be closed as soon as push returns:
 * live.push(Frame.yuv420(y, u, v, width, height).rotated(90), timestampNanos)
 * ```
 *
 * [push] copies the frame and returns; it never waits for the model or the listener. One frame is at work and one waits,
 * which a newer one replaces. Memory is bounded: three buffers of the largest frame's size, used again and again.
 *
 * The listener is called on the executor, with one event at a time; while it is busy, results that it has not heard are
 * replaced by newer ones. What it throws is told to [LiveListener.onError], and it hears the next event.
 */
public class LiveClassifier private constructor(
    classifier: Classifier,
    options: LiveOptions,
    private val executor: Executor,
    private val listener: LiveListener,
) : AutoCloseable {
    private val handle: AtomicLong
    private val answers: Answers
    private val stopMillis = options.stopMillis

    /** What the stream's classifier is made of. */
    public val info: ModelInfo = classifier.info

    /** The names of the labels that are told apart, by [Label.index]. */
    public val labels: List<String> = classifier.labels

    init {
        val (handle, answers) = classifier.startLive(options.message)
        this.handle = AtomicLong(handle)
        this.answers = answers
        try {
            native { thread(name = "clipgate-results", isDaemon = true) { deliver(handle) } }
        } catch (failure: ClipgateException) {
            close()
            throw failure
        }
    }

    /**
     * Hands a frame over: copies it and returns. Size and format may change from frame to frame.
     *
     * @param timestampNanos in the camera's time, from any beginning: `imageInfo.timestamp` of CameraX.
     * @return how the stream is doing.
     * @throws ClipgateException [ErrorCode.CALLER] if the frame's geometry does not fit its bytes, if a buffer is not
     *   direct, or if the timestamp is not above the last one's: the frame does not count then; [ErrorCode.CLOSED].
     */
    public fun push(frame: Frame, timestampNanos: Long): LiveStatus = native {
        liveStatus(
            Native.push(open(), timestampNanos, frame.layout(), frame.buffer(0), frame.buffer(1), frame.buffer(2)),
        )
    }

    /** How the stream is doing. */
    public fun status(): LiveStatus = control(Command.STATUS)

    /** Forgets what was smoothed and what the last frame looked like, for a camera that was turned elsewhere. */
    public fun reset(): LiveStatus = control(Command.RESET)

    /** Forgets the drift so far, and with it [Reason.STALE_CALIBRATION]. */
    public fun resetDrift(): LiveStatus = control(Command.RESET_DRIFT)

    /**
     * Ends the stream; the frame that is at work and the one that waits are answered.
     *
     * @param limitMillis how long that may take.
     * @return how the stream has done.
     * @throws ClipgateException [ErrorCode.MACHINE] if it takes longer: the model is stuck. Its memory comes back when
     *   it is not any more.
     */
    public fun finish(limitMillis: Long): LiveStatus = control(Command.FINISH, limitMillis)

    /**
     * Ends the stream and gives its memory back: waits for the frame at work, as long as the deadline. That the model took
     * longer is told to the log; [finish] throws. The listener may still hear what it was being told. Closing again does
     * nothing.
     */
    override fun close() {
        val handle = handle.getAndSet(CLOSED)
        if (handle == CLOSED) return
        try {
            Native.control(handle, Command.STOP.ordinal, stopMillis)
        } catch (stuck: ClipgateException) {
            Log.w(LOG_TAG, "a live stream was closed while its model was stuck", stuck)
        } finally {
            Native.close(handle)
        }
    }

    private fun control(command: Command, limitMillis: Long = 0): LiveStatus =
        native { liveStatus(Native.control(open(), command.ordinal, limitMillis)) }

    private fun open(): Long = handle.get().also {
        if (it == CLOSED) {
            throw ClipgateException(
                ErrorCode.CLOSED,
                "the live stream was closed: start another one, and close it only when no more frames come",
            )
        }
    }

    /** Tells the listener of every event until the stream has ended. */
    private fun deliver(handle: Long) {
        val idle = Semaphore(1)
        while (true) {
            // The next event is taken once the listener has heard the last one, so that it is the newest there is. An
            // executor that was shut down may have dropped the last one.
            while (!idle.isAcquired()) {
                if (this.handle.get() == CLOSED) return
            }
            val event = receive(handle) ?: return
            val delivery = Runnable {
                try {
                    tell(event)
                } finally {
                    idle.release()
                }
            }
            try {
                executor.execute(delivery)
            } catch (refused: Throwable) {
                // Also an Error: that the system has no thread for it, say. What ends this thread ends the app.
                Log.w(LOG_TAG, "a live stream's executor does not take a call of the listener", refused)
                if (idle.availablePermits() == 0) idle.release()
            }
        }
    }

    /** Whether it came within a second. That the listener interrupts the thread which calls it ends nothing. */
    private fun Semaphore.isAcquired(): Boolean =
        try {
            tryAcquire(1, TimeUnit.SECONDS)
        } catch (_: InterruptedException) {
            false
        }

    private fun receive(handle: Long): LiveEvent? =
        try {
            native { Native.receive(handle)?.let(answers::event) }
        } catch (failure: ClipgateException) {
            if (failure.code == ErrorCode.CLOSED) null else LiveEvent.Failed(failure)
        }

    private fun tell(event: LiveEvent) {
        try {
            when (event) {
                is LiveEvent.Answered -> listener.onAnswer(event.answer)
                is LiveEvent.Failed -> listener.onError(event.error)
                is LiveEvent.Late -> listener.onLate(event.frame, event.timestampNanos, event.tookNanos)
            }
        } catch (cause: Throwable) {
            complain(cause)
        }
    }

    /** What the listener throws, be it a failed assertion or a `TODO()`, is its own to hear of, once. */
    private fun complain(cause: Throwable) {
        val failure = ClipgateException(ErrorCode.LISTENER, "the listener of a live stream threw: $cause", cause)
        try {
            listener.onError(failure)
        } catch (again: Throwable) {
            failure.addSuppressed(again)
            Log.e(LOG_TAG, failure.message, failure)
        }
    }

    /** What `native.rs` is asked; the order is that of its numbers. */
    private enum class Command { STATUS, RESET, RESET_DRIFT, FINISH, STOP }

    public companion object {
        /** No stream's number. */
        private const val CLOSED = 0L

        /**
         * Starts a stream. The classifier belongs to it from here on: every call to it is refused, and it is closed with
         * the stream, or at once where none can be started.
         *
         * @param executor where the listener is called, such as `ContextCompat.getMainExecutor(context)`.
         * @throws ClipgateException [ErrorCode.CALLER] for options out of their range; [ErrorCode.CLOSED] if the
         *   classifier was closed.
         */
        @JvmStatic
        @JvmOverloads
        public fun start(
            classifier: Classifier,
            executor: Executor,
            options: LiveOptions = LiveOptions.DEFAULT,
            listener: LiveListener,
        ): LiveClassifier = LiveClassifier(classifier, options, executor, listener)
    }
}
