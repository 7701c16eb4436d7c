package io.clipgate

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class ProviderTest {
    /** The desktop's ONNX Runtime has the CPU alone: the others are passed over, and none in silence. */
    @Test
    fun whatIsPassedOverIsReported() {
        val providers = Providers.firstOf(Provider.QNN, Provider.NNAPI)
        Fixture.open(ClassifierOptions.Builder().providers(providers).build()).use { classifier ->
            val reports = classifier.info.providers
            assertEquals(listOf("qnn", "nnapi", "cpu"), reports.map { it.name })
            assertEquals(listOf(false, false, true), reports.map { it.isChosen })
            assertTrue(reports[0].text, reports[0].text.contains("absent: no QNN plugin library was named"))
            assertTrue(reports[1].text, reports[1].text.contains("absent"))
            assertEquals("cpu", classifier.info.provider)
        }
    }
}
