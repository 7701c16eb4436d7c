package io.clipgate

/**
 * Who has to act on a [ClipgateException].
 *
 * @property number the code in logs and crash reports; it never gets another meaning.
 */
public enum class ErrorCode(public val number: Int) {
    /** The device: a library is missing or of another ABI, ONNX Runtime is too old, a disk is full. */
    MACHINE(1),

    /** The bundle: a file of it is missing, damaged, compressed inside the package, or newer than this library. */
    BUNDLE(2),

    /** The caller: a frame, label or argument that cannot be used. */
    CALLER(3),

    /** The calibration: it was fitted on another graph, or says nothing about this case. */
    POLICY(4),

    /** The model: it ran and computed something that is no embedding. */
    MODEL(5),

    /** The classifier or stream was closed before the call. */
    CLOSED(6),

    /** A defect of this library, or two parts of it that are not of one build. */
    INTERNAL(7),

    /** The listener of a live stream threw; its exception is the cause. */
    LISTENER(8),

    /** There is not enough memory for a frame or an answer. */
    OUT_OF_MEMORY(9);

    internal companion object {
        fun of(number: Int): ErrorCode = entries.firstOrNull { it.number == number } ?: INTERNAL
    }
}
