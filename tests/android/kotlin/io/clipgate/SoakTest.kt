package io.clipgate

import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Test

/** A long run: memory stands still, and the way into native code costs next to nothing. */
class SoakTest {
    /** 100,000 frames, every fiftieth of which asks the model. */
    @Test
    fun memoryStandsStill() {
        Fixture.open().use { classifier ->
            val (scene, darkness) = Fixture.scene() to Fixture.darkness()
            val kilobytes = ArrayList<Long>()
            for (n in 1..CALLS) {
                val answer = classifier.classify(if (n % 50 == 0) scene else darkness)
                assertTrue(n % 50 == 0 || answer.decision == DARK)
                if (n % (CALLS / 10) == 0) kilobytes.add(residentKilobytes())
            }
            println("resident KiB after each tenth of $CALLS frames: $kilobytes")
            val growth = kilobytes.last() - kilobytes[1]
            assertTrue("grew by $growth KiB: $kilobytes", growth < GROWTH_KILOBYTES)
        }
        assertNothingIsOpen()
    }

    /** The bridge's own part of a call: all of it, less what the Rust library says that it took. */
    @Test
    fun theBridgeCostsAtMostFiftyMicroseconds() {
        Fixture.open().use { classifier ->
            val frame = Fixture.scene()
            val nanos = LongArray(MEASURED) {
                val begin = System.nanoTime()
                val answer = classifier.classify(frame)
                System.nanoTime() - begin - answer.timings.totalNanos
            }.drop(MEASURED / 4).sorted()
            val (median, late) = nanos[nanos.size / 2] to nanos[nanos.size * 9 / 10]
            println("bridge: median $median ns, 90 % within $late ns")
            assertTrue("median $median ns", median <= 50_000)
        }
    }

    private fun residentKilobytes(): Long = File("/proc/self/status").useLines { lines ->
        lines.first { it.startsWith("VmRSS:") }.filter { it.isDigit() }.toLong()
    }

    private companion object {
        const val CALLS = 100_000
        const val MEASURED = 2_000
        const val GROWTH_KILOBYTES = 4096
        val DARK = Decision.Abstain(Reason.UNUSABLE_FRAME, emptyList())
    }
}
