package io.clipgate

import java.io.File
import java.lang.reflect.Modifier
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** What native code looks for by name is there, and kept by the rules that come with the library. */
class ShrinkTest {
    private val rules = File(Fixture.property("clipgate.rules")).readText()
    private val rust = File(Fixture.property("clipgate.jni")).listFiles()!!.joinToString("\n") { it.readText() }

    @Test
    fun nativeFunctionsAreThoseThatAreExported() {
        val declared = Native::class.java.declaredMethods.filter { Modifier.isNative(it.modifiers) }.map { it.name }
        val exported = Regex("fn Java_io_clipgate_Native_(\\w+)").findAll(rust).map { it.groupValues[1] }.toList()
        assertEquals(declared.sorted(), exported.sorted())
        assertTrue("${declared.size} functions", declared.size <= 10)
        assertTrue(Regex("-keep(classeswithmembers)? class io\\.clipgate\\.Native \\{\\s*native <methods>;").containsMatchIn(rules))
    }

    @Test
    fun classesThatAreLookedForAreKept() {
        val classes = Regex("find_class\\(jni_str!\\(\"([\\w/]+)\"\\)\\)").findAll(rust).map { it.groupValues[1] }.toList()
        assertTrue("io/clipgate/ClipgateException" in classes)
        for (name in classes.filter { !it.startsWith("java/") }) {
            val dotted = name.replace('/', '.')
            Class.forName(dotted).getDeclaredConstructor(Int::class.java, String::class.java)
            assertTrue(dotted, Regex("-keep class ${Regex.escape(dotted)} \\{\\s*<init>\\(int, java\\.lang\\.String\\);").containsMatchIn(rules))
        }
    }
}
