package io.clipgate

import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicReference
import kotlin.concurrent.thread
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** Who owns what, from how many threads it is asked, and when it ends. */
class LifecycleTest {
    @Test
    fun whatWasClosedIsRefused() {
        val classifier = Fixture.open()
        assertEquals(1, Clipgate.openHandles())
        val handle = handleOf(classifier)
        classifier.close()
        classifier.close()
        assertNothingIsOpen()
        refused(ErrorCode.CLOSED, "closed") { classifier.classify(Fixture.scene()) }
        refused(ErrorCode.CLOSED, "closed") { classifier.resetDrift() }
        // As if Kotlin had not noticed, and for numbers that nothing ever had.
        val frame = Fixture.scene()
        for (stale in listOf(handle, 0L, -1L, Long.MAX_VALUE)) {
            refused(ErrorCode.CLOSED, "closed") { Native.classify(stale, frame.layout(), frame.buffer(0), null, null) }
            refused(ErrorCode.CLOSED) { Native.startLive(stale, LiveOptions.DEFAULT.message) }
            refused(ErrorCode.CLOSED) { Native.push(stale, 0, frame.layout(), frame.buffer(0), null, null) }
            refused(ErrorCode.CLOSED) { Native.receive(stale) }
            refused(ErrorCode.CLOSED) { Native.control(stale, 0, 0) }
            Native.close(stale)
        }
    }

    @Test
    fun aClassifierThatCannotBeReadIsNotKept() {
        repeat(20) {
            refused(ErrorCode.CALLER) { Fixture.open(ClassifierOptions.Builder().threads(0).build()) }
            Fixture.open().close()
        }
        assertNothingIsOpen()
    }

    @Test
    fun eightThreadsGetTheirOwnAnswers() {
        Fixture.open().use { classifier ->
            val expected = (1..8).map { classifier.classify(Fixture.scene(it)).top }
            val failure = AtomicReference<Throwable>()
            (1..8).map { seed ->
                thread {
                    try {
                        val frame = Fixture.scene(seed)
                        repeat(100) { assertEquals(expected[seed - 1], classifier.classify(frame).top) }
                    } catch (wrong: Throwable) {
                        failure.set(wrong)
                    }
                }
            }.forEach { it.join() }
            assertNull("${failure.get()}", failure.get())
        }
        assertNothingIsOpen()
    }

    /** What is being answered is answered, and everything later refused; nothing is read that is gone. */
    @Test
    fun closingWhileFramesAreAnswered() {
        repeat(10) {
            val classifier = Fixture.open()
            val answered = AtomicInteger()
            val busy = CountDownLatch(4)
            val failure = AtomicReference<Throwable>()
            val threads = (1..4).map { seed ->
                thread {
                    val frame = Fixture.scene(seed)
                    try {
                        while (true) {
                            classifier.classify(frame)
                            if (answered.incrementAndGet() >= 4) busy.countDown()
                        }
                    } catch (refusal: ClipgateException) {
                        if (refusal.code != ErrorCode.CLOSED) failure.set(refusal)
                    } catch (wrong: Throwable) {
                        failure.set(wrong)
                    }
                    busy.countDown()
                }
            }
            busy.await()
            classifier.close()
            threads.forEach { it.join() }
            assertNull("${failure.get()}", failure.get())
            assertTrue(answered.get() >= 4)
        }
        assertNothingIsOpen()
    }

    /** Collections while frames are answered: no buffer is kept, none goes while it is read. */
    @Test
    fun garbageIsCollectedMeanwhile() {
        Fixture.open().use { classifier ->
            val expected = classifier.classify(Fixture.scene()).top
            val stop = CountDownLatch(1)
            val collector = thread {
                while (stop.count > 0) {
                    System.gc()
                    @Suppress("UNUSED_VARIABLE")
                    val garbage = List(100) { ByteArray(10_000) }
                    ByteBuffer.allocateDirect(1 shl 20)
                }
            }
            try {
                // A new buffer for each frame, which nothing but the call holds.
                repeat(300) { assertEquals(expected, classifier.classify(Fixture.scene()).top) }
            } finally {
                stop.countDown()
                collector.join()
            }
        }
    }
}

/** The number that the native half knows a classifier by. */
internal fun handleOf(classifier: Classifier): Long {
    val field = Classifier::class.java.getDeclaredField("handle")
    field.isAccessible = true
    return (field.get(classifier) as Number).toLong()
}
