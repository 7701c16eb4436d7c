package androidx.camera.core;

/** What the sample uses of it. */
public final class ViewPort {
    private ViewPort() {}
}
