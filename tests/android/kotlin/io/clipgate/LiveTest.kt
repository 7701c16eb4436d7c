package io.clipgate

import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

class LiveTest {
    private val answers = ConcurrentLinkedQueue<LiveAnswer>()
    private val errors = ConcurrentLinkedQueue<ClipgateException>()
    private val executor = Executors.newSingleThreadExecutor()

    /** Keeps what it hears, after `first` did what it does. */
    private fun listener(first: (LiveAnswer) -> Unit = {}) = object : LiveListener {
        override fun onAnswer(answer: LiveAnswer) {
            answers.add(answer)
            first(answer)
        }

        override fun onError(error: ClipgateException) {
            errors.add(error)
        }
    }

    private fun start(
        options: LiveOptions = LiveOptions.DEFAULT,
        executor: Executor = this.executor,
        listener: LiveListener = listener(),
    ) = LiveClassifier.start(Fixture.open(), executor, options, listener)

    private val everyFrame = LiveOptions.Builder().unchanged(null).smoothing(null).build()

    @After
    fun nothingIsLeftOpen() {
        executor.shutdown()
        assertTrue(executor.awaitTermination(10, TimeUnit.SECONDS))
        assertNothingIsOpen()
    }

    private fun await(what: String, condition: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20)
        while (!condition()) {
            assertTrue("waited for: $what", System.nanoTime() < end)
            Thread.sleep(1)
        }
    }

    @Test
    fun framesAreAnsweredWithTheirTimestamps() {
        val expected = Fixture.open().use { it.classify(Fixture.scene()).top }
        start(everyFrame).use { live ->
            for (n in 0L until 20) {
                live.push(Fixture.scene(), n * 33_000_000)
                await("answer $n") { answers.size > n }
            }
            val status = live.finish(10_000)
            assertEquals(20, status.answered)
            assertTrue(status.isStopped)
        }
        answers.forEachIndexed { n, answer ->
            assertEquals(n.toLong(), answer.frame)
            assertEquals(n * 33_000_000L, answer.timestampNanos)
            assertEquals(expected, answer.raw.top)
            assertFalse(answer.isSkipped)
        }
        assertTrue(errors.isEmpty())
    }

    @Test
    fun unchangedFramesAreSkippedAndDecisionsSettle() {
        start().use { live ->
            for (n in 0L until 40) {
                live.push(Fixture.scene(), n * 33_000_000)
                await("answer $n") { answers.size > n }
            }
            assertTrue("${live.status()}", live.status().skipped > 30)
        }
        val first = answers.first().decision
        assertEquals(Reason.UNSETTLED, (first as Decision.Abstain).reason)
        assertEquals(decisionOf(answers.last().raw.decision), decisionOf(answers.last().decision))
    }

    private fun decisionOf(decision: Decision): Any = when (decision) {
        is Decision.Accept -> decision.label
        is Decision.Abstain -> decision.reason
    }

    /** While the listener is busy, frames are dropped, and it hears the newest next. */
    @Test
    fun aBusyListenerHearsTheNewest() {
        val release = CountDownLatch(1)
        val live = start(everyFrame, listener = listener { release.await() })
        live.use {
            live.push(Fixture.scene(), 0)
            await("the listener is busy") { answers.size == 1 }
            for (n in 1L..50) {
                live.push(Fixture.scene(), n)
                Thread.sleep(2)
            }
            await("the last frame is at work or told") { live.status().run { answered + dropped == pushed } }
            release.countDown()
            await("the newest") { answers.last().frame == 50L }
            assertTrue("${answers.map { it.frame }}", answers.size <= 4)
            assertTrue("${live.status()}", live.status().resultsDropped > 0)
        }
    }

    @Test
    fun whatTheListenerThrowsIsItsOwnToHear() {
        start(everyFrame, listener = listener { error("at frame ${it.frame}") }).use { live ->
            for (n in 0L until 3) {
                live.push(Fixture.scene(), n)
                await("error $n") { errors.size > n }
            }
        }
        assertEquals(3, answers.size)
        errors.forEach {
            assertEquals(ErrorCode.LISTENER, it.code)
            assertTrue(it.cause is IllegalStateException)
        }
    }

    @Test
    fun aListenerThatThrowsAtErrorsTooHearsTheNextFrame() {
        val stubborn = object : LiveListener {
            override fun onAnswer(answer: LiveAnswer) {
                answers.add(answer)
                error("an answer")
            }

            override fun onError(error: ClipgateException) = error("an error")
        }
        start(everyFrame, listener = stubborn).use { live ->
            for (n in 0L until 3) {
                live.push(Fixture.scene(), n)
                await("answer $n") { answers.size > n }
            }
        }
    }

    /** On the thread that delivers: what ends it would end the stream's results, and on Android the app. */
    @Test
    fun aListenerThatInterruptsItsThreadHearsTheNextFrame() {
        start(everyFrame, { it.run() }, listener { Thread.currentThread().interrupt() }).use { live ->
            for (n in 0L until 3) {
                live.push(Fixture.scene(), n)
                await("answer $n") { answers.size > n }
            }
        }
    }

    @Test
    fun errorsOfTheListenerAreItsOwnToHear() {
        start(everyFrame, { it.run() }, listener { throw NotImplementedError("at frame ${it.frame}") }).use { live ->
            for (n in 0L until 3) {
                live.push(Fixture.scene(), n)
                await("error $n") { errors.size > n }
            }
        }
        errors.forEach {
            assertEquals(ErrorCode.LISTENER, it.code)
            assertTrue(it.cause is NotImplementedError)
        }
    }

    /** A caller that is being interrupted gets its answer, and stays interrupted. */
    @Test
    fun anInterruptedThreadIsAnswered() {
        start(everyFrame).use { live ->
            Thread.currentThread().interrupt()
            live.push(Fixture.scene(), 1)
            assertEquals(1, live.finish(10_000).answered)
            assertTrue(Thread.interrupted())
        }
    }

    @Test
    fun anExecutorThatFailsLosesResultsAndNothingElse() {
        val failing = Executor { throw IllegalStateException("a looper that has ended") }
        start(everyFrame, failing).use { live ->
            for (n in 0L until 5) live.push(Fixture.scene(), n)
            assertTrue(live.finish(10_000).answered >= 1)
        }
    }

    /** An Error as well: what ends the thread that delivers ends the app on Android. */
    @Test
    fun anExecutorWithoutAThreadIsAskedAgain() {
        val calls = AtomicInteger()
        val short = Executor { if (calls.getAndIncrement() == 0) throw OutOfMemoryError("no thread") else it.run() }
        start(everyFrame, short).use { live ->
            live.push(Fixture.scene(), 0)
            await("the first call") { calls.get() == 1 }
            live.push(Fixture.scene(), 1)
            await("the second answer") { answers.size == 1 }
        }
        assertEquals(1L, answers.first().frame)
    }

    @Test
    fun anExecutorThatWasShutDownLosesResultsAndNothingElse() {
        val refusing = Executor { throw RejectedExecutionException("shut down") }
        start(everyFrame, refusing).use { live ->
            for (n in 0L until 5) live.push(Fixture.scene(), n)
            assertTrue(live.finish(10_000).answered >= 1)
        }
        assertTrue(answers.isEmpty())
    }

    @Test
    fun aFrameThatIsRefusedDoesNotCount() {
        start(everyFrame).use { live ->
            live.push(Fixture.scene(), 10)
            refused(ErrorCode.CALLER, "timestamp") { live.push(Fixture.scene(), 10) }
            refused(ErrorCode.CALLER, "-1") { live.push(Fixture.scene(), -1) }
            val short = Frame.packed(ByteBuffer.allocateDirect(5), 2, 2, PixelFormat.RGB)
            refused(ErrorCode.CALLER, "12 bytes") { live.push(short, 11) }
            assertEquals(1, live.status().pushed)
        }
    }

    @Test
    fun closingEndsItForEverybody() {
        val classifier = Fixture.open()
        val live = LiveClassifier.start(classifier, executor, listener = listener())
        refused(ErrorCode.CLOSED, "belongs to a LiveClassifier") { classifier.classify(Fixture.scene()) }
        classifier.close()
        live.push(Fixture.scene(), 1)
        live.reset()
        live.resetDrift()
        live.close()
        live.close()
        refused(ErrorCode.CLOSED) { live.push(Fixture.scene(), 2) }
        refused(ErrorCode.CLOSED) { live.status() }
        refused(ErrorCode.CLOSED) { LiveClassifier.start(classifier, executor, listener = listener()) }
    }

    /** The listener closes its own stream, on the thread that delivers to it. */
    @Test
    fun theListenerMayClose() {
        var live: LiveClassifier? = null
        live = start(everyFrame, { it.run() }, listener { live!!.close() })
        live.push(Fixture.scene(), 1)
        await("it is closed") { Clipgate.openHandles() == 0 }
    }

    @Test
    fun optionsOutOfTheirRangeCloseTheClassifier() {
        val options = LiveOptions.Builder()
        refused(ErrorCode.CALLER, "deadline") { start(options.deadlineMillis(0).build()) }
        refused(ErrorCode.CALLER, "negative") { start(options.deadlineMillis(-1).build()) }
        refused(ErrorCode.CALLER, "confidence") { start(LiveOptions.Builder().smoothing(Smoothing(confidence = 2f)).build()) }
        refused(ErrorCode.CALLER, "luma") { start(LiveOptions.Builder().unchanged(Unchanged(difference = 300f)).build()) }
        refused(ErrorCode.CALLER, "-1 bytes") { start(LiveOptions.Builder().maxFrameBytes(-1).build()) }
        start(LiveOptions.Builder().maxFrameBytes(100).build()).use {
            refused(ErrorCode.CALLER, "bytes") { it.push(Fixture.scene(), 1) }
        }
    }

    @Test
    fun manyStreamsComeAndGo() {
        repeat(10) { round ->
            start(everyFrame).use { live ->
                for (n in 0L..round) live.push(Fixture.scene(), n)
            }
        }
    }
}
