package io.clipgate.camera

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import io.clipgate.ClipgateException
import io.clipgate.LiveClassifier

/**
 * Hands every frame of CameraX's image analysis to a live stream, and gives its image back on every path.
 *
 * ```kotlin
 * val analysis = ImageAnalysis.Builder()
 *     .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
 *     .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_YUV_420_888)
 *     .build()
 * analysis.setAnalyzer(executor, LiveAnalyzer(live))
 * ```
 *
 * A push copies the frame and never waits for the model, so the camera keeps its pace; what the model has no time for is
 * dropped by the stream, which counts it.
 *
 * @param live where the frames go. Frames that come after it was closed are told to [onError] and harm nothing.
 * @param onError hears of frames that the stream did not take, on the analyzer's executor.
 */
public class LiveAnalyzer @JvmOverloads constructor(
    private val live: LiveClassifier,
    private val onError: (ClipgateException) -> Unit = {},
) : ImageAnalysis.Analyzer {

    override fun analyze(image: ImageProxy) {
        try {
            image.use { live.push(it.toFrame(), it.imageInfo.timestamp) }
        } catch (refused: ClipgateException) {
            onError(refused)
        }
    }
}
