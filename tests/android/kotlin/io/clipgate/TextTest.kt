package io.clipgate

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Test

/** Texts that cross into native code and back: Java's may hold what UTF-8 and C's strings cannot. */
class TextTest {
    private fun labelled(vararg names: String) = labelled(names.toList())

    private fun labelled(names: List<String>) = ClassifierOptions.Builder().labels(Labels.of(names)).build()

    @Test
    fun namesStayAsTheyAre() {
        val names = listOf("größer", "\uD83D\uDC31 cat", "a cat, a dog", "e\u0301te\u0301 beach", "\u732B cat")
        Fixture.open(labelled(names)).use { classifier ->
            assertEquals(names, classifier.labels)
            val answer = classifier.classify(Fixture.scene())
            assertEquals(names.toSet(), answer.top.map { it.label.name }.toSet())
        }
        assertNothingIsOpen()
    }

    @Test
    fun namesThatAreNone() {
        refused(ErrorCode.CALLER, "label 2") { Fixture.open(labelled("cat", "")) }
        refused(ErrorCode.CALLER, "label 1") { Fixture.open(labelled("\u0000")) }
        refused(ErrorCode.CALLER, "label 1", "1024") { Fixture.open(labelled("x".repeat(1025))) }
        // The message says which, whatever it consists of.
        refused(ErrorCode.CALLER, "\uD83D\uDC31\uD83C\uDF0D") { Fixture.open(labelled("\uD83D\uDC31\uD83C\uDF0D")) }
        val many = List((1 shl 20) + 1) { "x" }
        refused(ErrorCode.CALLER, "1048577 labels") { Fixture.open(labelled(many)) }
        assertNothingIsOpen()
    }

    /** Half of a surrogate pair is no character: Java would make a question mark of it, and two labels one. */
    @Test
    fun halvesOfCharactersAreRefusedWhereTheyAreSaid() {
        refused(ErrorCode.CALLER, "surrogate") { labelled("cat \uD83D") }
        refused(ErrorCode.CALLER, "surrogate") { labelled("\uDC31 cat") }
        refused(ErrorCode.CALLER, "surrogate") { ClassifierOptions.Builder().calibration(File("/\uD83D.json")).build() }
        Fixture.load()
        refused(ErrorCode.CALLER, "surrogate") { Classifier.open(File("/\uD83D")) }
        refused(ErrorCode.MACHINE, "cannot be opened") { Clipgate.load("/\uD83D/libonnxruntime.so") }
    }

    @Test
    fun pathsThatLeadNowhere() {
        Fixture.load()
        refused(ErrorCode.MACHINE, "too long") { Classifier.open(File("/" + "long/".repeat(100_000))) }
        refused(ErrorCode.BUNDLE, "manifest.json") { Classifier.open(File("")) }
        refused(ErrorCode.BUNDLE, "manifest.json") { Classifier.open(Fixture.pocket.resolve("manifest.json")) }
        refused(ErrorCode.MACHINE, "nul") { Classifier.open(File("/nul\u0000byte")) }
        refused(ErrorCode.MACHINE, "nul") { Clipgate.load("/nul\u0000byte.so") }
        refused(ErrorCode.MACHINE, "nul") { Clipgate.load("nul\u0000byte.so") }
        refused(ErrorCode.MACHINE) { Clipgate.load("") }
        assertNothingIsOpen()
    }
}
