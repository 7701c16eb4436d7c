package io.clipgate

import android.content.Context
import android.content.res.AssetManager
import android.os.ParcelFileDescriptor
import io.clipgate.coroutines.openClassifier
import java.io.File
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executor
import kotlin.concurrent.thread
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Before
import org.junit.Test

/** Bundles in an app's package. */
class AssetsTest {
    private val apk = File.createTempFile("base", ".apk")
    private val entries = LinkedHashMap<String, AssetManager.Entry>()

    /** The bundle's files one behind the other, at places that no page begins at. */
    @Before
    fun pack() {
        Fixture.load()
        apk.outputStream().use { out ->
            var offset = 0L
            for (file in Fixture.pocket.listFiles()!!) {
                out.write(byteArrayOf(1, 2, 3))
                out.write(file.readBytes())
                entries["models/pocket/${file.name}"] = AssetManager.Entry(offset + 3, file.length(), false)
                offset += 3 + file.length()
            }
        }
    }

    @After
    fun nothingIsLeftOpen() {
        apk.delete()
        assertEquals("open descriptors", 0, ParcelFileDescriptor.OPEN.get())
        assertNothingIsOpen()
    }

    private val context get() = Context(AssetManager(apk, entries))

    private fun open(directory: String = "models/pocket") = Classifier.open(context, directory)

    @Test
    fun answersAreThoseOfTheDirectory() {
        val expected = Fixture.open().use { it.classify(Fixture.scene()) }
        open().use { classifier ->
            assertEquals("assets/models/pocket", classifier.info.location)
            val answer = classifier.classify(Fixture.scene())
            assertEquals(expected.decision, answer.decision)
            assertEquals(expected.top, answer.top)
        }
    }

    /** As an app's developer copies a bundle: with the README beside it, which a package compresses, and folders. */
    @Test
    fun whatIsNoFileOfTheBundleIsPassedOver() {
        for (name in listOf("README.md", "LICENSE", "folder")) {
            entries["models/pocket/$name"] = AssetManager.Entry(0, 1, true)
        }
        for (directory in listOf("models/pocket", "models/pocket/", "/models/pocket")) open(directory).close()
        val atTheRoot = entries.mapKeys { (name, _) -> name.removePrefix("models/pocket/") }
        Classifier.open(Context(AssetManager(apk, atTheRoot)), "").close()
    }

    /** A caller that is cancelled meanwhile never gets it: a screen that was left while it loads. */
    @Test
    fun whatIsOpenedForACancelledCallerIsClosed() = runBlocking {
        val opened = CountDownLatch(1)
        val opener = Executor { block ->
            thread {
                block.run()
                opened.countDown()
            }
        }.asCoroutineDispatcher()
        val caller = launch(start = CoroutineStart.UNDISPATCHED) {
            openClassifier(context, "models/pocket", dispatcher = opener)
        }
        // The loop in which the caller would go on stands still here.
        opened.await()
        assertEquals(1, Clipgate.openHandles())
        caller.cancelAndJoin()
    }

    @Test
    fun whatIsWrongWithAPackageIsSaid() {
        refused(ErrorCode.BUNDLE, "assets/nowhere/manifest.json", "src/main/assets/nowhere") { open("nowhere") }
        val graph = "models/pocket/image_encoder.onnx"
        val entry = entries.getValue(graph)
        entries[graph] = entry.copy(isCompressed = true)
        refused(ErrorCode.BUNDLE, "assets/$graph", "noCompress") { open() }
        entries[graph] = AssetManager.Entry(entry.offset(), entry.length() - 1, false)
        refused(ErrorCode.BUNDLE, "assets/$graph", "manifest says") { open() }
        entries[graph] = AssetManager.Entry(entry.offset() + 1, entry.length(), false)
        refused(ErrorCode.BUNDLE, "assets/$graph", "sha256") { open() }
        entries[graph] = AssetManager.Entry(apk.length(), 5, false)
        refused(ErrorCode.CALLER, "assets/$graph", "do not lie") { open() }
        entries[graph] = AssetManager.Entry(-1, 5, false)
        refused(ErrorCode.CALLER, "assets/$graph", "no part of a file") { open() }
        entries[graph] = AssetManager.Entry(0, AssetManager.UNREADABLE, false)
        refused(ErrorCode.BUNDLE, "assets/$graph", "cannot be opened", "a broken package") { open() }
        entries.remove(graph)
        refused(ErrorCode.BUNDLE, "assets/$graph", "missing") { open() }
    }
}

private fun AssetManager.Entry.copy(isCompressed: Boolean) = AssetManager.Entry(offset(), length(), isCompressed)
