package androidx.camera.core;

import java.util.concurrent.Executor;

/** What the library and the sample use of it. */
public final class ImageAnalysis extends UseCase {
    public static final int STRATEGY_KEEP_ONLY_LATEST = 0;
    public static final int OUTPUT_IMAGE_FORMAT_YUV_420_888 = 1;

    private ImageAnalysis() {}

    public interface Analyzer {
        void analyze(ImageProxy image);
    }

    public void setAnalyzer(Executor executor, Analyzer analyzer) {}

    public static final class Builder {
        public Builder setBackpressureStrategy(int strategy) {
            return this;
        }

        public Builder setOutputImageFormat(int format) {
            return this;
        }

        public ImageAnalysis build() {
            return new ImageAnalysis();
        }
    }
}
