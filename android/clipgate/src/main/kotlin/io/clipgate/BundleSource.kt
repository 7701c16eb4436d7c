package io.clipgate

import android.content.res.AssetFileDescriptor
import android.content.res.AssetManager
import java.io.Closeable
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException

/** Where a bundle's files lie, for as long as one is being opened. */
internal sealed class BundleSource : Closeable {

    /** What `request.rs` reads behind the options. */
    abstract fun write(message: MessageWriter)

    class Directory(private val directory: File) : BundleSource() {
        override fun write(message: MessageWriter) {
            message.text(directory.path)
            message.boolean(false)
        }

        override fun close() = Unit
    }

    /** Parts of the app's package, which are used where they lie. */
    class Assets(assets: AssetManager, private val directory: String) : BundleSource() {
        private val files = LinkedHashMap<String, AssetFileDescriptor>()

        init {
            try {
                for (name in names(assets)) files[name] = open(assets, name)
            } catch (failure: Throwable) {
                close()
                throw failure
            }
        }

        override fun write(message: MessageWriter) {
            message.text("assets/$directory")
            message.optional(files) { files ->
                message.list(files.entries) { (name, file) ->
                    message.text(name)
                    message.int(file.parcelFileDescriptor.fd)
                    message.long(file.startOffset)
                    message.long(file.length)
                }
            }
        }

        override fun close() = files.values.forEach { it.close() }

        private fun names(assets: AssetManager): List<String> {
            val names = try {
                assets.list(directory).orEmpty()
            } catch (cause: IOException) {
                throw ClipgateException(ErrorCode.BUNDLE, "assets/$directory cannot be listed: ${cause.message}", cause)
            }
            if (MANIFEST !in names) {
                throw ClipgateException(
                    ErrorCode.BUNDLE,
                    "assets/$directory/$MANIFEST is missing: put the bundle's files in src/main/assets/$directory of " +
                        "the app, and say that directory's name here",
                )
            }
            return names.toList()
        }

        private fun open(assets: AssetManager, name: String): AssetFileDescriptor =
            try {
                assets.openFd("$directory/$name")
            } catch (cause: FileNotFoundException) {
                throw ClipgateException(
                    ErrorCode.BUNDLE,
                    "assets/$directory/$name is compressed in the app's package, so that it cannot be used where it " +
                        "lies: add androidResources { noCompress += listOf(\"onnx\", \"ort\", \"safetensors\", " +
                        "\"json\") } to the app's build.gradle.kts",
                    cause,
                )
            }
    }

    private companion object {
        const val MANIFEST = "manifest.json"
    }
}
