package androidx.camera.core;

/** What the library uses of it. */
public interface ImageInfo {
    long getTimestamp();

    int getRotationDegrees();
}
