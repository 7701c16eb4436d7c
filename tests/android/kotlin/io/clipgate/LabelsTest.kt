package io.clipgate

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

class LabelsTest {
    @Test
    fun theBundlesOwnAreCalibrated() {
        Fixture.open().use { classifier ->
            assertEquals("pocket", classifier.info.id)
            assertTrue(classifier.info.hasTextEncoder)
            assertTrue(classifier.info.isCalibrated)
            assertTrue(classifier.info.threshold in 0f..1f)
            val answer = classifier.classify(Fixture.scene())
            assertTrue(answer.isCalibrated)
            assertTrue("${answer.scores}", answer.scores.keys.containsAll(listOf("msp", "neg_label")))
            answer.top.forEach { assertEquals(classifier.labels[it.label.index], it.label.name) }
        }
    }

    @Test
    fun wordsAreNotCalibratedAndSayso() {
        val names = arrayOf("cat", "dog", "coffee")
        val options = ClassifierOptions.Builder().labels(Labels.of(*names)).topK(2).build()
        Fixture.open(options).use { classifier ->
            assertEquals(names.toList(), classifier.labels)
            assertFalse(classifier.info.isCalibrated)
            assertEquals(PromiseKind.NONE, classifier.info.promise.kind)
            val answer = classifier.classify(Fixture.scene())
            assertFalse(answer.isCalibrated)
            assertEquals(2, answer.top.size)
        }
    }

    @Test
    fun templatesChangeWhatALabelMeans() {
        fun top(labels: Labels) = Fixture.open(ClassifierOptions.Builder().labels(labels).build()).use {
            it.classify(Fixture.scene()).top.first().similarity
        }
        val names = listOf("cat", "dog")
        assertEquals(top(Labels.of("cat", "dog")), top(Labels.of(names)), 0f)
        assertFalse(top(Labels.of(names)) == top(Labels.of(names, listOf("a blurry photo of a {}."))))
    }

    @Test
    fun driftIsWatchedWhereItIsAskedFor() {
        Fixture.open().use { assertEquals(null, it.classify(Fixture.scene()).drift) }
        val options = ClassifierOptions.Builder().watchDrift(0.01, 1).build()
        try {
            Fixture.open(options).use { classifier ->
                repeat(3) { classifier.classify(Fixture.scene(it + 2)) }
                assertEquals(4L, classifier.classify(Fixture.scene()).drift!!.frames)
                classifier.resetDrift()
                assertEquals(1L, classifier.classify(Fixture.scene()).drift!!.frames)
            }
        } catch (refusal: ClipgateException) {
            // A calibration that keeps no scores cannot tell.
            assertEquals(ErrorCode.POLICY, refusal.code)
        }
    }
}
