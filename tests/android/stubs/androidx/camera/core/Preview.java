package androidx.camera.core;

/** What the sample uses of it. */
public final class Preview extends UseCase {
    private SurfaceProvider surfaceProvider;

    private Preview() {}

    public interface SurfaceProvider {}

    public SurfaceProvider getSurfaceProvider() {
        return surfaceProvider;
    }

    public void setSurfaceProvider(SurfaceProvider surfaceProvider) {
        this.surfaceProvider = surfaceProvider;
    }

    public static final class Builder {
        public Preview build() {
            return new Preview();
        }
    }
}
