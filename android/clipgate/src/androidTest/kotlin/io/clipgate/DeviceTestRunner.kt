package io.clipgate

import android.content.Context
import android.os.Bundle
import androidx.test.runner.AndroidJUnitRunner
import java.io.File

/** Lays out for the tests on a device what `tests/android/run.sh` lays out on the desktop. */
class DeviceTestRunner : AndroidJUnitRunner() {
    override fun onCreate(arguments: Bundle?) {
        val files = targetContext.filesDir
        for (directory in listOf("pocket", "cases")) unpack(context, directory, File(files, directory))
        System.setProperty("clipgate.onnxruntime", Clipgate.ONNX_RUNTIME)
        System.setProperty("clipgate.pocket", File(files, "pocket").path)
        System.setProperty("clipgate.cases", File(files, "cases").path)
        System.setProperty("clipgate.exact", "false")
        super.onCreate(arguments)
    }

    private fun unpack(context: Context, directory: String, target: File) {
        target.mkdirs()
        for (name in context.assets.list(directory).orEmpty()) {
            context.assets.open("$directory/$name").use { asset ->
                File(target, name).outputStream().use(asset::copyTo)
            }
        }
    }
}
