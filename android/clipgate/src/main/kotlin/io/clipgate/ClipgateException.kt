package io.clipgate

/**
 * Why a call failed: [message] says what happened to which thing and what to do, [code] who has to act.
 *
 * An abstention is no error: see [Decision].
 *
 * @property code stable from version to version.
 */
public class ClipgateException @JvmOverloads constructor(
    public val code: ErrorCode,
    message: String,
    cause: Throwable? = null,
) : RuntimeException(message, cause) {

    /** What the native half throws; kept by the rules in `consumer-rules.pro`. */
    internal constructor(code: Int, message: String) : this(ErrorCode.of(code), message)
}
