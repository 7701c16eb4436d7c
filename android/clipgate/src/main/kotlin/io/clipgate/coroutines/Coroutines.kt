package io.clipgate.coroutines

import android.content.Context
import io.clipgate.Classification
import io.clipgate.Classifier
import io.clipgate.ClassifierOptions
import io.clipgate.ClipgateException
import io.clipgate.Frame
import io.clipgate.LiveAnswer
import io.clipgate.LiveClassifier
import io.clipgate.LiveListener
import io.clipgate.LiveOptions
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.withContext

/** [Classifier.open] on a thread that may wait. One that is opened for a caller who was cancelled meanwhile is closed. */
public suspend fun openClassifier(
    context: Context,
    assetDirectory: String,
    options: ClassifierOptions = ClassifierOptions.DEFAULT,
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): Classifier {
    var opened: Classifier? = null
    try {
        return withContext(dispatcher) { Classifier.open(context, assetDirectory, options).also { opened = it } }
    } catch (cancelled: CancellationException) {
        // A cancelled caller does not get what `withContext` returns.
        opened?.close()
        throw cancelled
    }
}

/** [Classifier.classify] on a thread that may compute. A frame that is being answered cannot be cancelled. */
public suspend fun Classifier.classifyOn(
    frame: Frame,
    dispatcher: CoroutineDispatcher = Dispatchers.Default,
): Classification = withContext(dispatcher) { classify(frame) }

/**
 * A live stream whose answers are a flow; the newest wins. It is started when the flow is collected, which can happen
 * once, and closed when that ends.
 *
 * ```kotlin
 * classifier.answers { live -> analysis.setAnalyzer(executor) { image -> image.use { live.push(...) } } }
 *     .collect { answer -> show(answer.decision) }
 * ```
 *
 * Ending it waits for the frame at work, as [LiveClassifier.close] does: not on the main thread, so put
 * `flowOn(Dispatchers.Default)` before `collect` there.
 *
 * @param onError hears of frames that could not be answered; the stream goes on.
 * @param started is given the stream, to push frames into, where the flow is produced. What it throws ends the flow.
 */
public fun Classifier.answers(
    options: LiveOptions = LiveOptions.DEFAULT,
    onError: (ClipgateException) -> Unit = {},
    started: (LiveClassifier) -> Unit,
): Flow<LiveAnswer> = callbackFlow {
    val listener = object : LiveListener {
        override fun onAnswer(answer: LiveAnswer) {
            trySend(answer)
        }

        override fun onError(error: ClipgateException) = onError(error)
    }
    val live = LiveClassifier.start(this@answers, Runnable::run, options, listener)
    try {
        started(live)
        awaitClose()
    } finally {
        live.close()
    }
}.conflate()
