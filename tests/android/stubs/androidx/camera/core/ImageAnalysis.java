package androidx.camera.core;

/** What the library uses of it. */
public final class ImageAnalysis {
    private ImageAnalysis() {}

    public interface Analyzer {
        void analyze(ImageProxy image);
    }
}
