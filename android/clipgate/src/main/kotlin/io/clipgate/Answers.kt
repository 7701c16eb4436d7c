package io.clipgate

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Reads what `answer.rs` writes: of one classifier, whose labels and scores it knows by their places. */
internal class Answers(val labels: List<String>, private val scoreNames: List<String>) {

    fun classification(message: ByteArray): Classification = classification(MessageReader(message))

    /** What a live stream tells. */
    fun event(message: ByteArray): LiveEvent {
        val reader = MessageReader(message)
        return when (val kind = reader.byte()) {
            0 -> LiveEvent.Answered(liveAnswer(reader))
            1 -> {
                val (frame, nanos) = reader.long() to reader.long()
                val code = ErrorCode.of(reader.int())
                LiveEvent.Failed(ClipgateException(code, "frame $frame (at $nanos ns): ${reader.text()}"))
            }
            2 -> LiveEvent.Late(
                frame = reader.long(),
                timestampNanos = reader.long(),
                tookNanos = reader.long(),
            )
            else -> throw otherBuild("an event of kind $kind")
        }
    }

    private fun liveAnswer(reader: MessageReader) = LiveAnswer(
        frame = reader.long(),
        timestampNanos = reader.long(),
        decision = decision(reader),
        sinceNanos = reader.long(),
        rawTimestampNanos = reader.long(),
        isSkipped = reader.boolean(),
        tookNanos = reader.long(),
        dropped = reader.long(),
        raw = classification(reader),
    )

    private fun classification(reader: MessageReader) = Classification(
        decision = decision(reader),
        top = reader.list {
            Candidate(label(reader), reader.float().orNull(), reader.float())
        },
        scores = if (reader.boolean()) scores(reader) else emptyMap(),
        isCalibrated = reader.boolean(),
        promise = PromiseKind.of(reader.text()),
        drift = if (reader.boolean()) drift(reader) else null,
        timings = Timings(reader.long(), reader.long(), reader.long()),
    )

    private fun decision(reader: MessageReader): Decision =
        if (reader.boolean()) {
            Decision.Accept(label(reader), reader.float().orNull())
        } else {
            Decision.Abstain(Reason.of(reader.text()), reader.list { label(reader) })
        }

    private fun label(reader: MessageReader): Label {
        val index = reader.int()
        return Label(index, labels.getOrNull(index) ?: throw otherBuild("a label $index of ${labels.size}"))
    }

    private fun scores(reader: MessageReader): Map<String, Float> {
        val scores = LinkedHashMap<String, Float>(2 * scoreNames.size)
        for (name in scoreNames) reader.float().orNull()?.let { scores[name] = it }
        return scores
    }

    private fun drift(reader: MessageReader) =
        Drift(reader.long(), reader.long(), reader.double(), reader.double(), reader.boolean())
}

/** What `Native.open` returns. */
internal class Opened(message: ByteArray) {
    val info: ModelInfo
    val answers: Answers
    val handle: Long

    init {
        val reader = MessageReader(message)
        info = ModelInfo(
            id = reader.text(),
            version = reader.long(),
            licence = reader.text(),
            location = reader.text(),
            hasTextEncoder = reader.boolean(),
            onnxRuntime = reader.text(),
            threshold = reader.float(),
            isCalibrated = reader.boolean(),
            promise = Promise(
                PromiseKind.of(reader.text()),
                reader.double().orNull(),
                reader.double().orNull(),
                reader.text(),
            ),
            loading = LoadTimings(reader.long(), reader.long(), reader.long()),
            providers = reader.list { ProviderReport(reader.text(), reader.boolean(), reader.text()) },
        )
        val scoreNames = reader.list(reader::text)
        answers = Answers(labels = reader.list(reader::text), scoreNames)
        handle = reader.long()
    }

    companion object {
        /** The classifier's number, of a message that could not be read: it stands last. */
        fun handle(message: ByteArray): Long =
            ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN).getLong(message.size - Long.SIZE_BYTES)
    }
}

internal fun liveStatus(message: ByteArray): LiveStatus {
    val reader = MessageReader(message)
    return LiveStatus(
        pushed = reader.long(),
        answered = reader.long(),
        skipped = reader.long(),
        dropped = reader.long(),
        failed = reader.long(),
        late = reader.long(),
        resultsDropped = reader.long(),
        isStopped = reader.boolean(),
        isStuck = reader.boolean(),
    )
}
