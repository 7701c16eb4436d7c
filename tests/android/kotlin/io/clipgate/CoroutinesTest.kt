package io.clipgate

import io.clipgate.coroutines.answers
import io.clipgate.coroutines.classifyOn
import java.util.concurrent.atomic.AtomicReference
import kotlin.concurrent.thread
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class CoroutinesTest {
    @Test
    fun aFrameIsAnsweredElsewhere() = runBlocking {
        Fixture.open().use { classifier ->
            assertEquals(classifier.classify(Fixture.scene()).top, classifier.classifyOn(Fixture.scene()).top)
        }
        assertNothingIsOpen()
    }

    @Test
    fun whatEndsTheCollectionEndsTheStream() = runBlocking {
        val live = AtomicReference<LiveClassifier>()
        val unused = Fixture.open().answers { stream ->
            live.set(stream)
            error("no camera")
        }
        assertTrue(runCatching { unused.toList() }.exceptionOrNull() is IllegalStateException)
        refused(ErrorCode.CLOSED) { live.getAndSet(null).status() }

        val collector = launch(Dispatchers.Default) { Fixture.open().answers { live.set(it) }.collect { } }
        while (live.get() == null) delay(1)
        live.get().push(Fixture.scene(), 1)
        collector.cancelAndJoin()
        refused(ErrorCode.CLOSED) { live.get().status() }

        val failing = Fixture.open()
        val thrown = runCatching {
            failing.answers { it.push(Fixture.scene(), 1) }.collect { error("a collector") }
        }
        assertTrue(thrown.exceptionOrNull() is IllegalStateException)
        refused(ErrorCode.CLOSED) { runBlocking { failing.classifyOn(Fixture.scene()) } }
        assertTrue(runCatching { failing.answers { }.toList() }.exceptionOrNull() is ClipgateException)
        assertNothingIsOpen()
    }

    /** The stream begins and ends with the collection. */
    @Test
    fun answersAreAFlow() = runBlocking {
        val live = AtomicReference<LiveClassifier>()
        var camera: Thread? = null
        val answers = Fixture.open().answers { stream ->
            live.set(stream)
            camera = thread {
                try {
                    var timestamp = 0L
                    while (true) {
                        stream.push(Fixture.scene(), timestamp++)
                        Thread.sleep(1)
                    }
                } catch (end: ClipgateException) {
                    assertEquals(ErrorCode.CLOSED, end.code)
                }
            }
        }
        val five = answers.take(5).toList()
        assertTrue("$five", five.zipWithNext().all { (a, b) -> a.frame < b.frame })
        camera!!.join()
        refused(ErrorCode.CLOSED) { live.get().status() }
        assertNothingIsOpen()
    }
}
