package io.clipgate

import java.nio.Buffer
import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.CharBuffer
import java.nio.charset.CharacterCodingException

/** Grows with every change of any message: `wire.rs` has the same. */
internal const val WIRE_VERSION: Byte = 1

/** Numbers and texts in a row of bytes, as `wire.rs` reads them. */
internal class MessageWriter private constructor(private var bytes: ByteBuffer) {
    constructor(size: Int = 256) : this(
        ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN).put(WIRE_VERSION),
    )

    /** Goes on where a finished message ends. */
    constructor(begun: ByteArray) : this(
        ByteBuffer.wrap(begun).order(ByteOrder.LITTLE_ENDIAN).apply { moveTo(begun.size) },
    )

    fun byte(value: Int) {
        room(1).put(value.toByte())
    }

    fun boolean(value: Boolean) = byte(if (value) 1 else 0)

    fun int(value: Int) {
        room(Int.SIZE_BYTES).putInt(value)
    }

    fun long(value: Long) {
        room(Long.SIZE_BYTES).putLong(value)
    }

    fun float(value: Float) {
        room(Float.SIZE_BYTES).putFloat(value)
    }

    fun double(value: Double) {
        room(Double.SIZE_BYTES).putDouble(value)
    }

    /** @throws ClipgateException [ErrorCode.CALLER] for half a character, which `toByteArray` would make a question mark. */
    fun text(value: String) {
        val utf8 = try {
            Charsets.UTF_8.newEncoder().encode(CharBuffer.wrap(value))
        } catch (cause: CharacterCodingException) {
            val shown = value.toByteArray().decodeToString()
            throw ClipgateException(ErrorCode.CALLER, "\"$shown\" holds half of a surrogate pair, which is no text", cause)
        }
        int(utf8.remaining())
        room(utf8.remaining()).put(utf8)
    }

    fun <T : Any> optional(value: T?, write: (T) -> Unit) {
        boolean(value != null)
        value?.let(write)
    }

    fun <T> list(values: Collection<T>, write: (T) -> Unit) {
        int(values.size)
        values.forEach(write)
    }

    /** The message so far. */
    fun finish(): ByteArray =
        bytes.array().copyOf(bytes.position())

    private fun room(size: Int): ByteBuffer {
        val written = bytes.position()
        if (bytes.remaining() < size) {
            val larger = bytes.array().copyOf(maxOf(2 * bytes.capacity(), written + size))
            bytes = ByteBuffer.wrap(larger).order(ByteOrder.LITTLE_ENDIAN).apply { moveTo(written) }
        }
        return bytes
    }
}

/** What `wire.rs` wrote. */
internal class MessageReader(message: ByteArray) {
    private val bytes = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN)

    init {
        val version = read { bytes.get() }
        if (version != WIRE_VERSION) throw otherBuild("a message of version $version, not $WIRE_VERSION")
    }

    fun byte(): Int = read { bytes.get() }.toInt()

    fun boolean(): Boolean = byte() != 0

    fun int(): Int = read { bytes.getInt() }

    fun long(): Long = read { bytes.getLong() }

    fun float(): Float = read { bytes.getFloat() }

    fun double(): Double = read { bytes.getDouble() }

    fun text(): String {
        val length = length()
        val text = String(bytes.array(), bytes.position(), length)
        bytes.moveTo(bytes.position() + length)
        return text
    }

    fun <T> list(read: () -> T): List<T> = List(length()) { read() }

    private fun length(): Int {
        val length = int()
        if (length !in 0..bytes.remaining()) throw otherBuild("a message that is cut short")
        return length
    }

    private inline fun <T> read(read: () -> T): T =
        try {
            read()
        } catch (cause: BufferUnderflowException) {
            throw otherBuild("a message that is cut short", cause)
        }
}

/** Sets the position by the method that every Android has: newer ones have another of the same name in [ByteBuffer]. */
internal fun ByteBuffer.moveTo(position: Int) {
    val buffer: Buffer = this
    buffer.position(position)
}

/** NaN stands for none. */
internal fun Float.orNull(): Float? = takeUnless { isNaN() }

/** NaN stands for none. */
internal fun Double.orNull(): Double? = takeUnless { isNaN() }

internal fun otherBuild(what: String, cause: Throwable? = null) = ClipgateException(
    ErrorCode.INTERNAL,
    "libclipgate_jni.so and the classes of io.clipgate are not of one build: $what. Take both from one version of the " +
        "library",
    cause,
)
