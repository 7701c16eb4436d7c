package io.clipgate.sample

import android.content.Context
import android.os.Handler
import android.os.Looper
import io.clipgate.Classifier
import io.clipgate.ClassifierOptions
import io.clipgate.ClipgateException
import io.clipgate.Labels
import io.clipgate.LiveAnswer
import io.clipgate.LiveClassifier
import io.clipgate.LiveListener
import io.clipgate.ModelInfo
import java.util.concurrent.Executors

/**
 * The model with its labels, opened on a thread of its own; everything is told on the main one.
 *
 * @param onAnswer hears what the stream shows.
 * @param onFailure hears what went wrong.
 */
class Recognizer(
    private val context: Context,
    private val onAnswer: (LiveAnswer, ModelInfo) -> Unit,
    private val onFailure: (ClipgateException) -> Unit,
) : AutoCloseable {
    private val main = Handler(Looper.getMainLooper())
    private val opener = Executors.newSingleThreadExecutor()

    // Of the opener's thread alone.
    private var live: LiveClassifier? = null

    /** Opens the model with these labels, or with its own where there are none, in place of what was open. */
    fun open(names: List<String>, ready: (LiveClassifier) -> Unit) {
        opener.execute {
            live?.close()
            live = null
            try {
                val opened = start(names)
                live = opened
                main.post { ready(opened) }
            } catch (failure: ClipgateException) {
                main.post { onFailure(failure) }
            }
        }
    }

    override fun close() {
        main.removeCallbacksAndMessages(null)
        opener.execute { live?.close() }
        opener.shutdown()
    }

    private fun start(names: List<String>): LiveClassifier {
        val labels = if (names.isEmpty()) Labels.bundled() else Labels.of(names)
        val options = ClassifierOptions.Builder().labels(labels).build()
        val classifier = Classifier.open(context, BUNDLE, options)
        val info = classifier.info
        val listener = object : LiveListener {
            override fun onAnswer(answer: LiveAnswer) = onAnswer(answer, info)

            override fun onError(error: ClipgateException) = onFailure(error)
        }
        return LiveClassifier.start(classifier, main::post, listener = listener)
    }

    private companion object {
        /** The directory below the app's assets. */
        const val BUNDLE = "pocket"
    }
}
