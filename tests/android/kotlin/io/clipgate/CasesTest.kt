package io.clipgate

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** The same answers as the Rust library's and the command's. */
class CasesTest {
    /**
     * Every format, stride, turn and region. On the machine that made the answers the floats are equal to the bit; other
     * processors' int8 kernels sum in other orders, and a label near a threshold may fall on its other side.
     */
    @Test
    fun everyFrameIsAnsweredAsByTheRustLibrary() {
        val lines = File(Fixture.cases, "cases.tsv").readLines()
        assertTrue("${lines.size} cases", lines.size >= 8 * 15)
        Fixture.open().use { classifier ->
            for (line in lines) {
                val columns = line.split('\t')
                val answer = classifier.classify(frame(columns))
                if (Fixture.isExact) {
                    assertEquals(columns[0], columns[9], decision(answer.decision))
                    assertEquals(columns[0], columns[10], answer.top.joinToString(",") {
                        "${it.label.index}:${bits(it.probability)}:${bits(it.similarity)}"
                    })
                } else if (answer.top.isNotEmpty()) {
                    val similarity = Float.fromBits(columns[10].split(',', ':')[2].toUInt().toInt())
                    assertEquals(columns[0], similarity, answer.top.first().similarity, OTHER_KERNELS)
                }
            }
        }
        assertNothingIsOpen()
    }

    /** `clipgate classify` on the example photos. */
    @Test
    fun decisionsAreTheCommands() {
        val decided = decisionsAsIn("command.tsv", ClassifierOptions.DEFAULT)
        assertTrue("$decided", "unusable_frame" in decided)
    }

    /** `clipgate classify --labels`: what stands beside the labels is the same, too. */
    @Test
    fun decisionsOnLabelsInWordsAreTheCommands() {
        val words = File(Fixture.cases, "words.txt").readText().trim().split(',')
        val decided = decisionsAsIn("words.tsv", ClassifierOptions.Builder().labels(Labels.of(words)).build())
        assertTrue("$decided", decided.any(words::contains))
        assertTrue("$decided", "out_of_distribution" in decided)
    }

    /** What the photos of a file that `run.sh` wrote are answered with, labels and reasons, after comparing them. */
    private fun decisionsAsIn(file: String, options: ClassifierOptions): Set<String> {
        val photos = File(Fixture.cases, file).readLines().map { it.split('\t') }
        assertEquals(8, photos.size)
        val frames = File(Fixture.cases, "cases.tsv").readLines().map { it.split('\t') }.associateBy { it[0] }
        return Fixture.open(options).use { classifier ->
            photos.map { (photo, expected, confidence) ->
                val decision = classifier.classify(frame(frames.getValue("$photo-rgb"))).decision
                val decided = when (decision) {
                    is Decision.Accept -> decision.label.name
                    is Decision.Abstain -> decision.reason.code
                }
                assertEquals(photo, expected, decided)
                if (Fixture.isExact && decision is Decision.Accept) {
                    assertEquals(confidence.toFloat(), decision.confidence!!, 1e-5f)
                }
                decided
            }.toSet()
        }
    }

    private fun frame(columns: List<String>): Frame {
        val bytes = Fixture.direct(File(Fixture.cases, columns[0]).readBytes())
        val format = PixelFormat.entries[columns[1].toInt()]
        val (width, height) = columns[2].toInt() to columns[3].toInt()
        val planes = columns[4].split(',').filter { it.isNotEmpty() }.map { plane ->
            val (offset, row, pixel) = plane.split(':').map { it.toInt() }
            Plane(bytes.duplicate().apply { position(offset) }, row, pixel)
        }
        val frame = when {
            planes.isEmpty() -> Frame.packed(bytes, width, height, format)
            else -> Frame.ofPlanes(planes, width, height, format)
        }
        val (left, top, right, bottom) = columns[8].split(',').map { it.toFloat() }
        val upright = frame.rotated(columns[5].toInt()).color(ColorSpace.entries[columns[7].toInt()])
        return (if (columns[6].toBoolean()) upright.mirrored() else upright).region(left, top, right, bottom)
    }

    private fun decision(decision: Decision): String = when (decision) {
        is Decision.Accept -> "${decision.label.name}:${bits(decision.confidence)}"
        is Decision.Abstain -> decision.reason.code
    }

    private companion object {
        /** What embeddings of cosine 0.9994 can move a similarity by: `sqrt(2 * (1 - 0.9994))`. */
        const val OTHER_KERNELS = 0.035f
    }

    private fun bits(value: Float?): String = (value ?: Float.NaN).toRawBits().toUInt().toString()
}
