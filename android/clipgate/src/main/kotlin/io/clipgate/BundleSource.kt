package io.clipgate

import android.content.res.AssetFileDescriptor
import android.content.res.AssetManager
import android.util.Log
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
    class Assets(assets: AssetManager, directory: String) : BundleSource() {
        private val directory = directory.trim('/')
        private val files = LinkedHashMap<String, AssetFileDescriptor>()

        init {
            try {
                for (name in names(assets)) open(assets, name)?.let { files[name] = it }
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

        /** The native half has descriptors of its own by now, so that nothing is lost with one that does not close. */
        override fun close() = files.values.forEach {
            try {
                it.close()
            } catch (failure: IOException) {
                Log.w(LOG_TAG, "a file of assets/$directory cannot be closed", failure)
            }
        }

        private fun path(name: String) = if (directory.isEmpty()) name else "$directory/$name"

        private fun names(assets: AssetManager): List<String> {
            val names = try {
                assets.list(directory).orEmpty()
            } catch (cause: IOException) {
                throw ClipgateException(ErrorCode.BUNDLE, "assets/$directory cannot be listed: ${cause.message}", cause)
            }
            if (MANIFEST !in names) {
                throw ClipgateException(
                    ErrorCode.BUNDLE,
                    "assets/${path(MANIFEST)} is missing: put the bundle's files in src/main/assets/$directory of " +
                        "the app, and say that directory's name here",
                )
            }
            return names.toList()
        }

        /** Null for what is no file of a bundle: a directory, or a README beside the model, which is compressed. */
        private fun open(assets: AssetManager, name: String): AssetFileDescriptor? =
            try {
                assets.openFd(path(name))
            } catch (cause: FileNotFoundException) {
                if (name.substringAfterLast('.') in EXTENSIONS) throw compressed(name, cause) else null
            } catch (cause: IOException) {
                throw ClipgateException(
                    ErrorCode.BUNDLE,
                    "assets/${path(name)} cannot be opened: ${cause.message}",
                    cause,
                )
            }

        private fun compressed(name: String, cause: FileNotFoundException) = ClipgateException(
            ErrorCode.BUNDLE,
            "assets/${path(name)} is compressed in the app's package, so that it cannot be used where it lies: add " +
                "androidResources { noCompress += listOf(${EXTENSIONS.joinToString { "\"$it\"" }}) } to the app's " +
                "build.gradle.kts",
            cause,
        )
    }

    private companion object {
        const val MANIFEST = "manifest.json"

        /** Of the files that a bundle consists of. */
        val EXTENSIONS = listOf("onnx", "ort", "safetensors", "json")
    }
}
