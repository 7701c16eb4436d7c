package androidx.camera.core;

/** What the sample uses of it. */
public final class CameraSelector {
    public static final CameraSelector DEFAULT_BACK_CAMERA = new CameraSelector();

    private CameraSelector() {}
}
