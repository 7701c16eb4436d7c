package io.clipgate.sample

import androidx.activity.ComponentActivity
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.UseCaseGroup
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import io.clipgate.LiveClassifier
import io.clipgate.camera.LiveAnalyzer
import java.util.concurrent.Executors

/** The back camera: its preview in a view, and what the view shows into a live stream. */
class Camera(private val activity: ComponentActivity, private val view: PreviewView) : AutoCloseable {
    private val analyzer = Executors.newSingleThreadExecutor()
    private val main = ContextCompat.getMainExecutor(activity)

    /** Shows the camera, and hands its frames to [live] in place of the stream before. */
    fun start(live: LiveClassifier) {
        val provider = ProcessCameraProvider.getInstance(activity)
        provider.addListener({ bind(provider.get(), live) }, main)
    }

    override fun close() {
        analyzer.shutdown()
    }

    private fun bind(provider: ProcessCameraProvider, live: LiveClassifier) {
        if (activity.isDestroyed) return
        val preview = Preview.Builder().build()
        preview.surfaceProvider = view.surfaceProvider
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_YUV_420_888)
            .build()
        analysis.setAnalyzer(analyzer, LiveAnalyzer(live))
        val cases = UseCaseGroup.Builder().addUseCase(preview).addUseCase(analysis)
        view.viewPort?.let(cases::setViewPort)
        provider.unbindAll()
        provider.bindToLifecycle(activity, CameraSelector.DEFAULT_BACK_CAMERA, cases.build())
    }
}

